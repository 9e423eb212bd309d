"""Serves Swift in one process: the proxy server and the account, container and object server behind it.

usage: swift_server.py DIRECTORY

DIRECTORY has swift.conf and a configuration for each server. Ports are chosen by the kernel; once all of them serve,
the proxy's URL stands in the file DIRECTORY/url. Swift's own functional tests run the servers side by side like this.
"""

import os
import pathlib
import sys

import eventlet
from swift.common import utils

# Before anything else is imported, as Swift's own programs do.
utils.monkey_patch()
eventlet.hubs.use_hub(utils.get_hub())

import eventlet.wsgi
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingBuilder
from swift.common.wsgi import loadapp
from paste.deploy import appconfig

KINDS = ["account", "container", "object", "proxy"]

directory = pathlib.Path(sys.argv[1])


def prepare_disk():
    device = directory / "devices" / "disk"
    device.mkdir(parents=True)
    try:
        os.setxattr(device, "user.testkit", b"x" * 3000)
    except OSError as error:
        sys.exit(
            f"{device}: {error}. Swift keeps what it knows of an object in extended attributes, and this file system "
            "has none: set TMPDIR to a directory of one that has, ext4 for example"
        )


def make_ring(kind, port):
    """One replica of everything, on the one disk."""
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    disk = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1}
    builder.add_dev(disk)
    builder.rebalance()
    builder.get_ring().save(str(directory / f"{kind}.ring.gz"))


def serve(kind, listener):
    path = str(directory / f"{kind}-server.conf")
    conf = appconfig(f"config:{path}", name=f"{kind}-server")
    logger = utils.get_logger(conf, f"{kind}-server", log_to_console=True, log_route="wsgi")
    application = loadapp(path, global_conf={"log_name": f"{kind}-server"})
    # S3 clients want "ETag", and eventlet would make "Etag" of it.
    settings = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False}
    eventlet.spawn(eventlet.wsgi.server, listener, application, logger, log_output=False, **settings)


prepare_disk()
utils.set_swift_dir(str(directory))
utils.validate_configuration()
listeners = {kind: eventlet.listen(("127.0.0.1", 0)) for kind in KINDS}
ports = {kind: listener.getsockname()[1] for kind, listener in listeners.items()}
for kind in ["account", "container", "object"]:
    make_ring(kind, ports[kind])
for kind in KINDS:
    serve(kind, listeners[kind])
# Written beside and renamed, so that whoever finds the file can read all of it.
unfinished = directory / "url.unfinished"
unfinished.write_text(f"http://127.0.0.1:{ports['proxy']}")
unfinished.rename(directory / "url")
while True:
    eventlet.sleep(3600)
