//! Lists as people and programs write them.

use super::*;

fn names() -> Names {
    Names::new(b"here", b"example.org", b"plus.example")
}

fn rewritten(value: &str) -> (String, Vec<String>) {
    let mut list = AddressList::parse(value.as_bytes()).unwrap();
    list.rewrite(&names());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        text(list.to_field(b"To")),
        list.addresses().map(text).collect(),
    )
}

fn field(value: &str) -> String {
    let (field, _) = rewritten(value);
    field.strip_prefix("To:").unwrap().trim().to_owned()
}

#[test]
fn addresses_are_made_complete() {
    assert_eq!(field("ann"), "ann@here.example.org");
    assert_eq!(field("ann@b"), "ann@b.example.org");
    assert_eq!(field("ann@b+"), "ann@b.plus.example");
    assert_eq!(field("ann@b.c."), "ann@b.c");
    assert_eq!(field("ann@"), "ann@here.example.org");
    assert_eq!(field("ann@.@."), "ann@here.example.org");
    assert_eq!(field("ann@[192.0.2.1]"), "ann@[192.0.2.1]");
    assert_eq!(field("<>"), "<>");
    assert_eq!(field("list-@host-@[]"), "list-@host-@[]");
    assert_eq!(field("<@a,@b:ann@c.d>"), "<ann@c.d>");
}

#[test]
fn white_space_between_words_makes_two_addresses() {
    let (field, addresses) = rewritten("djb fred");
    assert_eq!(field, "To: djb@here.example.org, fred@here.example.org\n");
    assert_eq!(addresses.len(), 2);
    let (_, addresses) = rewritten("\"djb fred\"");
    assert_eq!(addresses, ["djb fred@here.example.org"]);
    let (_, addresses) = rewritten("a . b @ c . d");
    assert_eq!(addresses, ["a.b@c.d"]);
}

#[test]
fn names_and_comments_stay() {
    assert_eq!(field("J. Random <jr@b.c>"), "J. Random <jr@b.c>");
    assert_eq!(field("\"Random, J.\" <jr@b.c>"), "\"Random, J.\" <jr@b.c>");
    assert_eq!(field("jr@b.c (J. Random)"), "jr@b.c (J. Random)");
    assert_eq!(field("a@b.c (one) d@e.f (two)"), "a@b.c (one), d@e.f (two)");
    assert_eq!(field("(only a comment)"), "(only a comment)");
    assert_eq!(field("Jörg <j@b.c>"), "\"Jörg\" <j@b.c>");
    assert_eq!(field("A <a@b.c> B <d@e.f>"), "A <a@b.c>, B <d@e.f>");
}

#[test]
fn a_comment_between_commas_does_not_make_a_name_of_the_address_before() {
    for value in [
        "a@b.c (x), (y), Z:",
        "a@b.c, (y), <d@e.f>",
        "a@b.c, (x), (y), d@e.f",
    ] {
        let (field, addresses) = rewritten(value);
        assert_eq!(rewritten(&field[3..]).1, addresses, "{value}");
    }
    assert_eq!(rewritten("a@b.c, (y), <d@e.f>").1, ["a@b.c", "d@e.f"]);
}

#[test]
fn groups_keep_their_names_and_lose_nobody() {
    let (field, addresses) = rewritten("friends: ann, bob;, caroline");
    assert_eq!(
        field,
        "To: friends: ann@here.example.org, bob@here.example.org;,\n  caroline@here.example.org\n"
    );
    assert_eq!(addresses.len(), 3);
    let (field, addresses) = rewritten("recipient list not shown: ;");
    assert_eq!(
        (field.as_str(), addresses.len()),
        ("To: recipient list not shown: ;\n", 0)
    );
    assert_eq!(
        rewritten("open: ann").0,
        "To: open: ann@here.example.org;\n"
    );
}

#[test]
fn long_fields_are_folded_after_commas() {
    let many = ["somebody@somewhere.example"; 5].join(",");
    let (field, addresses) = rewritten(&many);
    assert_eq!(addresses.len(), 5);
    assert_eq!(field.matches("\n  somebody").count(), 2);
    assert!(field.lines().all(|line| line.len() <= 80));
}

#[test]
fn a_group_in_a_group_ends_by_itself() {
    let printed = field("a: b@x, c: d@x;");
    assert_eq!(field(&printed), printed);
    assert_eq!(printed.matches(';').count(), 2);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for wrong in ["a > b", "< a", "<a", "a <b <c>", "\"a"] {
        assert_eq!(
            AddressList::parse(wrong.as_bytes()),
            Err(SyntaxError),
            "{wrong}"
        );
    }
}

#[test]
fn a_printed_field_has_the_same_addresses() {
    property::holds(|u| {
        let letters = property::bytes(u)?;
        let alphabet = b"ab \"\\()<>@.,:;\t";
        let input: Vec<u8> = letters
            .iter()
            .map(|b| alphabet[usize::from(*b) % alphabet.len()])
            .collect();
        let Ok(mut list) = AddressList::parse(&input) else {
            return Ok(());
        };
        list.rewrite(&names());
        let field = list.to_field(b"To");
        let body = field.strip_prefix(b"To:").unwrap();
        assert!(
            !body
                .strip_suffix(b"\n")
                .unwrap()
                .windows(2)
                .any(|w| w[0] == b'\n' && w[1] != b' ')
        );
        let mut again = AddressList::parse(body).unwrap();
        again.rewrite(&names());
        let first: Vec<_> = list.addresses().collect();
        let second: Vec<_> = again.addresses().collect();
        assert_eq!(first, second, "{:?}", String::from_utf8_lossy(&field));
        Ok(())
    });
}
