"""Makes the database that every Keystone of the testkit starts with.

usage: keystone_prepare.py DIRECTORY   (with keystone.conf and the keys in it, and OS_BOOTSTRAP_* set)
"""

import pathlib
import sqlite3
import subprocess
import sys

directory = pathlib.Path(sys.argv[1])


def manage(*arguments):
    program = pathlib.Path(sys.executable).parent / "keystone-manage"
    config = ["--config-file", directory / "keystone.conf"]
    subprocess.run([sys.executable, program, *config, *arguments], check=True)


manage("db_sync")
manage("bootstrap")
database = sqlite3.connect(directory / "keystone.db")
# Readers do not stop the writer then. It is a property of the file and outlives this connection.
database.execute("PRAGMA journal_mode = WAL")
# Back into the one file, which can be copied then.
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
database.close()
