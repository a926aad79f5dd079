# What a user does in a day, through Python's imaplib.
import imaplib
import sys

port = int(sys.argv[1])


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


try:
    imaplib.IMAP4("127.0.0.1", port).login("ann@example.org", "wrong")
    raise SystemExit("a wrong password lets in")
except imaplib.IMAP4.error as error:
    assert "AUTHENTICATIONFAILED" in str(error), error

plain = imaplib.IMAP4("127.0.0.1", port)
ok(plain.authenticate("PLAIN", lambda _: b"\0ann@example.org\0secret"))
plain.logout()

m = imaplib.IMAP4("127.0.0.1", port)
ok(m.login("ann@example.org", "secret"))
ok(m.capability())
assert b"IDLE" in m.capability()[1][0]
assert ok(m.namespace()) == [b'(("" ".")) NIL NIL']

# Folders.
for name in ["Work.Projects", "Entw&APw-rfe"]:
    ok(m.create(name))
for name in ["Sent", "Drafts", "Trash", "Junk", "Archive", "Work.Projects", "Entw&APw-rfe"]:
    ok(m.subscribe(name))
assert m.create("Sent")[0] == "NO"
assert m.create("../evil")[0] == "NO"
folders = b"\n".join(ok(m.list()))
for line in [
    b'(\\HasNoChildren) "." INBOX',
    b'(\\HasNoChildren \\Sent) "." Sent',
    b'(\\HasNoChildren \\Trash) "." Trash',
    b'(\\NonExistent \\Noselect \\HasChildren) "." Work',
    b'(\\HasNoChildren) "." Work.Projects',
    b'(\\HasNoChildren) "." Entw&APw-rfe',
]:
    assert line in folders, (line, folders)
assert b"Sent" in b"\n".join(ok(m.lsub()))
ok(m.rename("Work", "Job"))
assert b"Job.Projects" in b"\n".join(ok(m.list()))

# A message with everything, line ends bare as some programs send them.
text = (
    b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: ann@example.org\r\n"
    b"Subject: Hello\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Gr=C3=BC=C3=9Fe\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nxyz\r\n--b--\r\n"
)
data = ok(m.append("INBOX", r"(\Seen)", '"17-Jul-1996 02:44:25 -0700"', text))
assert b"APPENDUID" in data[0], data
ok(m.append("INBOX", None, None, b"Subject: second\r\n\r\nbody\r\n"))
ok(m.append("Sent", r"(\Seen $Label1)", None, text))
assert m.append("Nowhere", None, None, text)[0] == "NO"

assert ok(m.select("INBOX")) == [b"2"]
data = ok(m.fetch("1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE)"))
assert b"RFC822.SIZE %d" % len(text) in data[0], data
assert b'INTERNALDATE "17-Jul-1996 09:44:25 +0000"' in data[0], data
assert ok(m.fetch("1", "(RFC822)"))[0][1] == text
assert ok(m.fetch("1", "(BODY.PEEK[1])"))[0][1] == b"Gr=C3=BC=C3=9Fe"
assert ok(m.fetch("1", "(BODY.PEEK[2]<1.1>)"))[0][1] == b"y"
assert ok(m.fetch("1", "(BODY[HEADER.FIELDS (SUBJECT)])"))[0][1] == b"Subject: Hello\r\n\r\n"
assert b'("mixed"' not in ok(m.fetch("1", "(BODYSTRUCTURE)"))[0]
assert b'"mixed" ("boundary" "b")' in ok(m.fetch("1", "(BODYSTRUCTURE)"))[0]
assert b'("=?utf-8?q?J=C3=B6rg?=" NIL "joerg" "example.org")' in ok(m.fetch("1", "ENVELOPE"))[0]
assert b"\\Seen" not in ok(m.fetch("2", "(FLAGS)"))[0]
ok(m.fetch("2", "(BODY[])"))
assert b"\\Seen" in ok(m.fetch("2", "(FLAGS)"))[0]

# Searching.
assert ok(m.search(None, "SUBJECT", "hello")) == [b"1"]
assert ok(m.search(None, "ALL")) == [b"1 2"]
assert ok(m.search(None, "UNSEEN")) == [b""]
m.literal = "grüße".encode()
assert ok(m.uid("SEARCH", "CHARSET", "UTF-8", "BODY")) == [b"1"]
m.literal = "JÖRG".encode()
assert ok(m.search("UTF-8", "FROM")) == [b"1"]
assert m.search("KOI8-R", "ALL")[0] == "NO"
assert ok(m.sort("(REVERSE ARRIVAL)", "UTF-8", "ALL")) == [b"2 1"]
assert ok(m.thread("REFERENCES", "UTF-8", "ALL")) == [b"(1)(2)"]

# Flags, copies, moves.
assert b"\\Flagged" in ok(m.store("1", "+FLAGS", r"(\Flagged $Label2)"))[0]
assert ok(m.search(None, "KEYWORD", "$Label2")) == [b"1"]
assert b"COPYUID" in ok(m.copy("1:2", "Archive"))[0]
assert b"MESSAGES 2" in ok(m.status("Archive", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY RECENT)"))[0]
ok(m.uid("STORE", "2", "+FLAGS", r"(\Deleted)"))
ok(m.expunge())
assert ok(m.search(None, "ALL")) == [b"1"]
ok(m.store("1", "+FLAGS.SILENT", r"(\Deleted)"))
ok(m.close())
assert ok(m.select("INBOX", readonly=True)) == [b"0"]
assert m.store("1", "+FLAGS", r"(\Seen)")[0] == "NO"

# Large messages pass, too large ones do not.
large = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 100000
ok(m.append("INBOX", None, None, large))
ok(m.select("INBOX"))
assert ok(m.fetch("1", "(BODY.PEEK[])"))[0][1] == large
got = b""
while True:
    piece = ok(m.fetch("1", "(BODY.PEEK[]<%d.100000>)" % len(got)))[0][1]
    got += piece
    if not piece:
        break
assert got == large
assert m.append("INBOX", None, None, large * 2)[0] == "NO"

# Many messages.
ok(m.create("Many"))
for n in range(60):
    ok(m.append("Many", None, None, b"Subject: %d\r\nFrom: a@b\r\n\r\ntext %d\r\n" % (n, n)))
ok(m.select("Many"))
headers = ok(m.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER])"))
assert len([part for part in headers if isinstance(part, tuple)]) == 60
assert ok(m.search(None, "TEXT", '"text 42"')) == [b"43"]

# UTF-8 names.
ok(m.close())
ok(m.enable("UTF8=ACCEPT"))
assert "Entwürfe".encode() in b"\n".join(ok(m.list()))
ok(m.append("INBOX", None, None, "Subject: grüße\r\n\r\nx\r\n".encode()))

ok(m.select("INBOX"))
ok(m.delete("Many"))
assert m.logout()[0] == "BYE"
