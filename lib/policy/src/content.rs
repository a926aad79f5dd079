//! What a message says: `signatures` (smtp-receiving.md §2.14) and
//! `bodycheck` (§2.15), looked for while it flows by.

mod rules;
mod scanner;

pub use rules::{Content, Hit};
pub use scanner::Scanner;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn scan(content: &Arc<Content>, pieces: &[&[u8]]) -> Option<Hit> {
        let mut scanner = Scanner::new(Arc::clone(content));
        for piece in pieces {
            scanner.push(piece);
        }
        scanner.finish()
    }

    fn found(content: &Arc<Content>, text: &str) -> Option<String> {
        scan(content, &[text.as_bytes()]).map(|hit| hit.description)
    }

    // Acceptance 33.
    #[test]
    fn a_signature_begins_a_part() {
        let rules = Content::new(
            &lines("TVqQAAMAA:exe\nUEsDB::-bodyblackhole\nx:-header"),
            &[],
        );
        let content = Arc::new(rules.unwrap());
        let part = |first: &str| {
            format!(
                "Subject: x\nContent-Type: multipart/mixed;\n\tboundary=\"b 1\"\n\npreamble\n\
                 --b 1\nContent-Type: text/plain\n\nhello\n--b 1\nContent-Type: a/b\n\n{first}\n\
                 --b 1--\nTVqQAAMAA epilogue\n"
            )
        };
        assert_eq!(
            found(&content, &part("TVqQAAMAAtail")).as_deref(),
            Some("exe")
        );
        // A blank line before it hides nothing.
        assert_eq!(
            found(&content, &part("\nTVqQAAMAA")).as_deref(),
            Some("exe")
        );
        assert_eq!(found(&content, &part("other\nTVqQAAMAA")), None);
        assert_eq!(
            found(&content, "A: b\n\nTVqQAAMAA\n").as_deref(),
            Some("exe")
        );
        let hit = scan(&content, &[part("UEsDBx").as_bytes()]).unwrap();
        assert!(hit.blackhole && hit.description == "UEsDB");
        // In a message within a message, and in what a bounce returns.
        let inner = "Content-Type: message/rfc822\n\nSubject: y\n\nTVqQAAMAA\n";
        assert_eq!(found(&content, inner).as_deref(), Some("exe"));
        let bounce = "A: b\n\nHi. This is the x program\n\n--- Below\nSubject: y\n\nTVqQAAMAA\n";
        assert_eq!(found(&content, bounce).as_deref(), Some("exe"));
    }

    // Acceptance 34.
    #[test]
    fn a_body_rule_has_its_place() {
        let rules =
            "viagra:drugs:-header\ncas[i1]no\nhttp\\://evil:links:-body\nspam:x:-bodyblackhole";
        let content = Arc::new(Content::new(&[], &lines(rules)).unwrap());
        assert_eq!(
            found(&content, "Subject: buy\n ViaGra\n\nx\n").as_deref(),
            Some("drugs")
        );
        assert_eq!(found(&content, "Subject: x\n\nviagra\n"), None);
        for text in ["Subject: CAS1NO\n\n", "A: b\n\nthe casino\n"] {
            assert_eq!(found(&content, text).as_deref(), Some("cas[i1]no"));
        }
        assert_eq!(
            found(&content, "A: b\n\nhttp://evil\n").as_deref(),
            Some("links")
        );
        assert!(scan(&content, &[b"A: b\n\nspam"]).unwrap().blackhole);
        assert!(Content::new(&[], &lines("[:x")).is_err());
    }

    #[test]
    fn where_the_bytes_are_cut_does_not_matter() {
        let content = Arc::new(Content::new(&lines("abc"), &lines("zz:z")).unwrap());
        property::holds(|u| {
            let mut text = Vec::new();
            for _ in 0..u.int_in_range(0..=12)? {
                let pieces: [&[u8]; 9] = [
                    b"A: b\n",
                    b" zz\n",
                    b"\n",
                    b"abc\n",
                    b"--x\n",
                    b"--x--\n",
                    b"Content-Type: a/b; boundary=x\n",
                    b"--",
                    b"zz",
                ];
                text.extend_from_slice(u.choose::<&[u8]>(&pieces)?);
            }
            let (head, tail) = text.split_at(u.int_in_range(0..=text.len())?);
            assert_eq!(scan(&content, &[head, tail]), scan(&content, &[&text]));
            Ok(())
        });
    }
}
