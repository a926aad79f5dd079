//! What FETCH is asked for.

use super::{Parsed, Parser, syntax};
use crate::command::{Item, Section, SectionText};
use crate::set;
use crate::write;

/// Most items in one FETCH.
const ITEMS_MAX: usize = 256;
/// Most numbers in one section.
const PART_DEPTH_MAX: usize = 64;

impl Parser<'_> {
    pub(super) fn fetch_items(&mut self) -> Parsed<Vec<Item>> {
        if self.next_is(b'(') {
            let items = self.list(Self::fetch_item)?;
            if items.is_empty() || ITEMS_MAX < items.len() {
                return syntax("FETCH needs some items, but not that many");
            }
            return Ok(items);
        }
        if self.word_is("ALL") {
            return Ok(vec![
                Item::Flags,
                Item::InternalDate,
                Item::Size,
                Item::Envelope,
            ]);
        }
        if self.word_is("FAST") {
            return Ok(vec![Item::Flags, Item::InternalDate, Item::Size]);
        }
        if self.word_is("FULL") {
            return Ok(vec![
                Item::Flags,
                Item::InternalDate,
                Item::Size,
                Item::Envelope,
                Item::Body,
            ]);
        }
        Ok(vec![self.fetch_item()?])
    }

    fn fetch_item(&mut self) -> Parsed<Item> {
        let name = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'.');
        let whole = |label: &str, text: SectionText, peek: bool| Item::Section {
            label: label.to_owned(),
            section: Section {
                part: Vec::new(),
                text,
            },
            partial: None,
            peek,
        };
        Ok(match name.to_ascii_uppercase().as_slice() {
            b"FLAGS" => Item::Flags,
            b"UID" => Item::Uid,
            b"INTERNALDATE" => Item::InternalDate,
            b"ENVELOPE" => Item::Envelope,
            b"BODYSTRUCTURE" => Item::BodyStructure,
            b"RFC822.SIZE" => Item::Size,
            b"RFC822" => whole("RFC822", SectionText::All, false),
            b"RFC822.HEADER" => whole("RFC822.HEADER", SectionText::Header, true),
            b"RFC822.TEXT" => whole("RFC822.TEXT", SectionText::Text, false),
            b"BODY" if self.next_is(b'[') => self.section(false)?,
            b"BODY.PEEK" => self.section(true)?,
            b"BODY" => Item::Body,
            _ => return syntax("unknown FETCH item"),
        })
    }

    fn section(&mut self, peek: bool) -> Parsed<Item> {
        self.byte(b'[')?;
        let mut section = Section::default();
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            let digits = self.take_while(|b| b.is_ascii_digit());
            match set::number(digits) {
                Some(number) if section.part.len() < PART_DEPTH_MAX => section.part.push(number),
                _ => return syntax("bad section number"),
            }
            if self.next_is(b'.') {
                self.at += 1;
                if matches!(self.peek(), None | Some(b']')) {
                    return syntax("section ends in a dot");
                }
            } else if !self.next_is(b']') {
                return syntax("expected ]");
            }
        }
        if !self.next_is(b']') {
            section.text = self.section_text(&section.part)?;
        }
        self.byte(b']')?;
        let label = format!("BODY[{}]", label(&section));
        let partial = if self.next_is(b'<') {
            Some(self.partial()?)
        } else {
            None
        };
        Ok(Item::Section {
            label,
            section,
            partial,
            peek,
        })
    }

    fn section_text(&mut self, part: &[u32]) -> Parsed<SectionText> {
        Ok(match self.upper_atom()?.as_str() {
            "HEADER" => SectionText::Header,
            "HEADER.FIELDS" => SectionText::Fields(self.field_names()?),
            "HEADER.FIELDS.NOT" => SectionText::FieldsNot(self.field_names()?),
            "TEXT" => SectionText::Text,
            "MIME" if !part.is_empty() => SectionText::Mime,
            _ => return syntax("unknown section"),
        })
    }

    fn field_names(&mut self) -> Parsed<Vec<Vec<u8>>> {
        self.space()?;
        let names = self.list(Self::astring)?;
        if names.is_empty() {
            return syntax("expected names of header fields");
        }
        Ok(names)
    }

    fn partial(&mut self) -> Parsed<(u32, u32)> {
        self.at += 1;
        let first = self.number()?;
        if self.next() != Some(b'.') {
            return syntax("bad partial");
        }
        let length = self.number()?;
        if self.next() != Some(b'>') || length == 0 {
            return syntax("bad partial");
        }
        Ok((first, length))
    }
}

/// The section as the answer repeats it.
fn label(section: &Section) -> String {
    let mut label: Vec<String> = section.part.iter().map(u32::to_string).collect();
    let fields = |name: &str, fields: &[Vec<u8>]| {
        let names: Vec<String> = fields.iter().map(|name| write::astring(name)).collect();
        format!("{name} ({})", names.join(" "))
    };
    match &section.text {
        SectionText::All => {}
        SectionText::Header => label.push("HEADER".into()),
        SectionText::Fields(names) => label.push(fields("HEADER.FIELDS", names)),
        SectionText::FieldsNot(names) => label.push(fields("HEADER.FIELDS.NOT", names)),
        SectionText::Text => label.push("TEXT".into()),
        SectionText::Mime => label.push("MIME".into()),
    }
    label.join(".")
}
