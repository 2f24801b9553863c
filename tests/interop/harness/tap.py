"""unittest whose results are lines of TAP: `test_qos_holds_back` is printed as "ok 3 - qos: holds back"."""

import sys
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def line(self, test, failed=False, directive=""):
        self.count += 1
        print(f"{'not ok' if failed else 'ok'} {self.count} - {name(test)}{directive}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.complained = False

    def complain(self, test, error):
        self.complained = True
        self.line(test, failed=True)
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"#   {line}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self.complained:
            self.line(test)

    def addError(self, test, error):
        super().addError(test, error)
        self.complain(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.complain(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.complain(subtest, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(test, directive=f" # SKIP {reason}")

    def addExpectedFailure(self, test, error):
        self.addSkip(test, "expected to fail")

    def addUnexpectedSuccess(self, test):
        self.addSkip(test, "expected to fail, and did not")


def name(test):
    """What is tested, then what is claimed."""
    method = getattr(test, "test_case", test)
    words = getattr(method, "_testMethodName", str(test)).removeprefix("test_").split("_")
    parameters = f" {test._subDescription()}" if hasattr(test, "_subDescription") else ""
    return f"{words[0]}: {' '.join(words[1:])}{parameters}".replace("#", "")


def main(*modules):
    """Runs the tests of these modules, or of the main program."""
    loader = unittest.defaultTestLoader
    if modules:
        tests = loader.loadTestsFromNames(modules)
    else:
        tests = loader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    tests.run(result)
    print(f"1..{result.count}", flush=True)
    sys.exit(0 if result.wasSuccessful() and result.count else 1)
