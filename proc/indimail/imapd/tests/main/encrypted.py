# A login over TLS, through Python's imaplib.
import imaplib
import ssl
import sys

port, mode = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if mode == "implicit":
    m = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context)
else:
    m = imaplib.IMAP4("127.0.0.1", port)
    assert "STARTTLS" in m.capabilities
    m.starttls(context)
assert "STARTTLS" not in m.capabilities and "AUTH=PLAIN" in m.capabilities
assert m.login("ann@example.org", "secret")[0] == "OK"
large = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 50000
assert m.append("INBOX", None, None, large)[0] == "OK"
assert m.select("INBOX") == ("OK", [b"1"])
assert m.fetch("1", "(BODY[])")[1][0][1] == large
m.logout()
