"""SMTP server of the tests: records each mail as a JSON file.

sink.py FOLDER [CERT KEY]

Prints its port, and ends with its standard input. The file FOLDER/mode has its behaviour, read for each
command: `take`; `refuse`: 550 to the recipient; `busy`: 451 to the recipient; `hang`: records the mail and
never answers; `die`: records the mail and closes the connection. With a certificate STARTTLS is required.
"""

import asyncio
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Sink:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def mode(self):
        return (self.folder / "mode").read_text().strip()

    async def handle_RCPT(self, server, session, envelope, address, options):
        match self.mode():
            case "refuse":
                return f"550 5.1.1 <{address}> is unknown here"
            case "busy":
                return f"451 4.3.0 try <{address}> later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode(),
            "tls": session.ssl is not None,
            "user": session.auth_data and session.auth_data.login.decode(),
        }
        unfinished = self.folder / "unfinished"
        unfinished.write_text(json.dumps(mail))
        unfinished.rename(self.folder / f"{self.count:04}.json")
        match self.mode():
            case "hang":
                await asyncio.Event().wait()
            case "die":
                server.transport.abort()
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.password == b"correct"
    return AuthResult(success=good, handled=False, auth_data=data)


async def main(folder, *certificate):
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    sink = Sink(folder)

    def session():
        return SMTP(
            sink,
            enable_SMTPUTF8=True,
            tls_context=context,
            require_starttls=context is not None,
            authenticator=authenticate,
            auth_require_tls=context is not None,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(pathlib.Path(sys.argv[1]), *sys.argv[2:]))
