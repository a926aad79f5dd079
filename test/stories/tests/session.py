"""One IMAP session through all commands a client uses."""
import imaplib
import sys
import time

box = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))


def ok(result):
    code, data = result
    assert code == "OK", (code, data)
    return data


for keyword in ("IMAP4REV1", "IDLE", "UIDPLUS", "MOVE", "NAMESPACE", "SPECIAL-USE", "QUOTA"):
    assert keyword in box.capabilities, (keyword, box.capabilities)
ok(box.login("ann@example.org", sys.argv[2]))
ok(box.namespace())
assert ok(box.select("INBOX"))[0] == b"1"
separator = ok(box.list('""', '""'))[0].split(b'"')[1].decode()
folders = b" ".join(ok(box.list()))
for use in (b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk", b"\\Archive"):
    assert use in folders, (use, folders)
assert b"Sent" in b" ".join(ok(box.lsub()))
ok(box.create("Work"))
child, renamed = "Work" + separator + "2026", "Work" + separator + "2027"
ok(box.create(child))
ok(box.subscribe("Work"))
folders = b" ".join(ok(box.list()))
assert b"Work" in folders and b"2026" in folders, folders
assert b"Work" in b" ".join(ok(box.lsub()))

data = ok(box.append("Work", r"(\Seen)", imaplib.Time2Internaldate(time.time()),
                     b"From: a@b.example\r\nSubject: appended\r\nTo: c@d.example\r\n\r\nbody text\r\n"))
assert b"APPENDUID" in data[0], data
status = ok(box.status("Work", "(MESSAGES UIDNEXT UNSEEN UIDVALIDITY)"))[0]
assert b"MESSAGES 1" in status and b"UNSEEN 0" in status, status

envelope = ok(box.fetch("1", "(ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE FLAGS UID)"))[0]
assert b"ENVELOPE" in envelope and b'"one"' in envelope and b"BODYSTRUCTURE" in envelope, envelope
part = ok(box.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))[0][1]
assert part.strip() == b"Subject: one", part
partial = ok(box.fetch("1", "(BODY.PEEK[TEXT]<0.3>)"))[0][1]
assert len(partial) == 3, partial

assert ok(box.search(None, "SUBJECT", "one"))[0] == b"1"
assert ok(box.search(None, "UNSEEN", "FROM", "postmaster"))[0] == b"1"
assert ok(box.search(None, "BODY", "nowhere"))[0] == b""
ok(box.store("1", "+FLAGS", r"(\Flagged $Important)"))
flags = ok(box.fetch("1", "(FLAGS)"))[0]
assert b"\\Flagged" in flags and b"$Important" in flags, flags

ok(box.copy("1", "Work"))
ok(box._simple_command("MOVE", "1", child))
box.noop()
assert ok(box.select("INBOX"))[0] == b"0"
assert ok(box.select("Work"))[0] == b"2"
ok(box.store("1", "+FLAGS", r"(\Deleted)"))
assert ok(box.expunge()) == [b"1"]
ok(box.rename(child, renamed))
assert ok(box.select(renamed))[0] == b"1"
ok(box.close())
ok(box.delete(renamed))
code, data = box.getquotaroot("INBOX")
assert code == "OK", data
code, data = box.select("NoSuchFolder")
assert code == "NO", data
ok(box.unsubscribe("Work"))
box.logout()
