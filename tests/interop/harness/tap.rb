# Minitest whose results are lines of TAP: `test_qos_holds_back` is printed as "ok 3 - qos: holds back".

require "minitest"
require "socket"

class TapReporter < Minitest::AbstractReporter
  def initialize
    super
    @count = 0
    @failed = false
  end

  def record(result)
    @count += 1
    what, *claim = result.name.delete_prefix("test_").split("_")
    bad = !result.passed? && !result.skipped?
    @failed ||= bad
    skipped = result.skipped? ? " # SKIP #{result.failure.message}" : ""
    puts "#{bad ? 'not ok' : 'ok'} #{@count} - #{what}: #{claim.join(' ')}#{skipped}"
    result.failures.each { |failure| puts failure.message.gsub(/^/, "#   ") }
    $stdout.flush
  end

  def finish
    puts "1..#{@count}"
    exit(!@failed && @count.positive?)
  end
end

def run_scenarios
  reporter = TapReporter.new
  Minitest::Runnable.runnables.each { |tests| tests.run(reporter, {}) }
  reporter.finish
end

# Cuts every connection through the proxy, as a broken network would; returns when that is done.
def cut
  TCPSocket.open("127.0.0.1", Integer(ENV.fetch("CUTTER_PORT"))) { |cutter| cutter.read }
end
