"""Serves Keystone on a port that the kernel chooses, in one process.

usage: keystone_server.py DIRECTORY [CERTIFICATE KEY]

DIRECTORY has keystone.conf, keystone.db and the keys. Once Keystone serves, its URL stands in the file
DIRECTORY/url.

One request is not Keystone's: POST /testkit/expire-password/USER_ID makes a user's password expire. Keystone has none
for that.
"""

import os
import pathlib
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

from gunicorn.app.base import BaseApplication
from gunicorn.sock import create_sockets
from gunicorn.workers.gthread import ThreadWorker

directory, *tls = sys.argv[1:]
# Keystone reads the command line as well, and these arguments are not meant for it.
del sys.argv[1:]
os.environ["OS_KEYSTONE_CONFIG_DIR"] = directory


EXPIRE_PASSWORD = "/testkit/expire-password/"


def change(statement, value):
    """Writes to the database while Keystone does not; tells how many rows have changed."""
    database = sqlite3.connect(os.path.join(directory, "keystone.db"))
    with database:
        rows = database.execute(statement, (value,)).rowcount
    database.close()
    return rows


def tell_catalog(url):
    """Puts the URL where the bootstrap could only put a placeholder, before anybody can read it."""
    change("UPDATE endpoint SET url = ?", url + "/v3/")


def expire_password(user_id):
    """Since 2001. Keystone keeps the time twice and reads the number, in microseconds."""
    return change(
        "UPDATE password SET expires_at = '2001-01-01 00:00:00.000000', expires_at_int = 978307200000000"
        " WHERE local_user_id IN (SELECT id FROM local_user WHERE user_id = ?)",
        user_id,
    )


def tell_parent(url):
    """Writes beside and renames, so that whoever finds the file can read all of it."""
    unfinished = pathlib.Path(directory, "url.unfinished")
    unfinished.write_text(url)
    unfinished.rename(unfinished.with_name("url"))


def load_keystone():
    import keystone.common.cache
    import keystone.common.sql.core

    # SQLite ignores ON DELETE CASCADE otherwise. What a deleted user leaves then makes Keystone answer a false
    # "409 Duplicate entry" to others.
    keystone.common.sql.core.enable_sqlite_foreign_key()
    from keystone.wsgi.api import application as keystone_application

    def call(environ, start_response):
        path = environ["PATH_INFO"]
        if path.startswith(EXPIRE_PASSWORD):
            found = expire_password(path.removeprefix(EXPIRE_PASSWORD))
            # Keystone has not seen the change, and remembers users.
            keystone.common.cache.CACHE_REGION.invalidate()
            start_response("204 No Content" if found else "404 Not Found", [])
            return []
        body = keystone_application(environ, start_response)
        try:
            return list(body)
        finally:
            getattr(body, "close", lambda: None)()

    # All of it runs in one thread. Two would meet "database is locked" in SQLite, and each of Keystone's threads keeps
    # the request cache of the request before, so that what was deleted can live on in another.
    one_thread = ThreadPoolExecutor(1)
    return lambda environ, start_response: one_thread.submit(call, environ, start_response).result()


class Application(BaseApplication):
    def load_config(self):
        settings = {
            "bind": "127.0.0.1:0",
            # They only wait for clients; each that is silent from the start takes one for five seconds.
            "threads": 64,
            "keepalive": 30,
            "accesslog": "-",
            "worker_tmp_dir": directory,
            "post_worker_init": lambda worker: tell_parent(worker.url),
        }
        if tls:
            settings["certfile"], settings["keyfile"] = tls
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        return load_keystone()


def main():
    application = Application()
    log = application.cfg.logger_class(application.cfg)
    sockets = create_sockets(application.cfg, log)
    scheme = "https" if tls else "http"
    url = f"{scheme}://127.0.0.1:{sockets[0].getsockname()[1]}"
    tell_catalog(url)
    # A worker without gunicorn's master process: nothing is left when this process is killed.
    worker = ThreadWorker(1, os.getppid(), sockets, application, 0, application.cfg, log)
    worker.pid = os.getpid()
    worker.url = url
    worker.init_process()


main()
