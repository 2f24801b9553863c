"""Runs every test here: the scenarios of test_at_home, and the finer points that the other files are about."""

import os
import pathlib

import tap

modules = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("test_*.py"))
if os.environ["INTEROP_AGAINST"] != "warren":
    # Accounts that sign up, and queues that belong to them, are an extension.
    modules.remove("test_chat_users")
tap.main(*modules)
