//! One object of a catalog, read for what decides whether and how it is kept. Long values (descriptions, icons, manifests) are
//! passed over.

use super::emit::Emitter;
use super::shape::{Fields, List, Mapping, Text};
use crate::limits::{CATALOG_OBJECT_BYTES, CATALOG_PROPERTY_BYTES};
use serde::de::{Deserialize, DeserializeSeed, IgnoredAny, MapAccess};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Package,
    Channel,
    Bundle,
    Deprecations,
    Other,
}

impl Schema {
    pub(super) fn of(name: &str) -> Schema {
        match name {
            "olm.package" => Schema::Package,
            "olm.channel" => Schema::Channel,
            "olm.bundle" => Schema::Bundle,
            "olm.deprecations" => Schema::Deprecations,
            _ => Schema::Other,
        }
    }
}

/// An object of any schema; what its schema does not have is empty.
#[derive(Default)]
pub(super) struct Object {
    pub(super) schema: String,
    pub(super) package: String,
    pub(super) name: String,
    pub(super) default_channel: String,
    pub(super) image: String,
    pub(super) properties: Vec<Property>,
    pub(super) related: Vec<String>,
    pub(super) entries: Vec<Entry>,
}

/// An entry of a channel. (Entries of deprecations have other members, and are read when they are written.)
#[derive(Default)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) replaces: String,
    pub(super) skips: Vec<String>,
}

/// A property of a bundle.
#[derive(Default)]
pub(super) struct Property {
    pub(super) kind: String,
    /// JSON, of those that are looked into.
    pub(super) value: Vec<u8>,
    /// `displayName` of `olm.csv.metadata`.
    pub(super) display_name: String,
}

/// Why a text is no object.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Line of the text, from 1, where it is known.
    pub(super) line: Option<usize>,
    pub(super) why: String,
}

impl Object {
    /// Reads the text of one object.
    pub(super) fn parse(text: &[u8], json: bool) -> Result<Object, Refusal> {
        let object = match read::<Mapping<Object>>(text, json) {
            Ok(Mapping(object)) => object,
            // Members of unknown schemas may have any form.
            Err(refusal) => match read::<Mapping<Head>>(text, json) {
                Ok(Mapping(Head(head))) if Schema::of(&head.schema) == Schema::Other => head,
                _ => return Err(refusal),
            },
        };
        if object.schema.is_empty() {
            return Err(Refusal { line: None, why: "schema is missing".to_owned() });
        }
        Ok(object)
    }

    /// The whole text as JSON.
    pub(super) fn emit(text: &[u8], json: bool, emitter: &mut Emitter) -> Result<(), Refusal> {
        with(text, json, emitter)
    }
}

fn read<T: for<'de> Deserialize<'de>>(text: &[u8], json: bool) -> Result<T, Refusal> {
    with(text, json, std::marker::PhantomData)
}

fn with<'de, S: DeserializeSeed<'de>>(text: &'de [u8], json: bool, seed: S) -> Result<S::Value, Refusal> {
    if json {
        let refuse = |e: serde_json::Error| Refusal { line: Some(e.line()), why: without_place(&e.to_string()) };
        return seed.deserialize(&mut serde_json::Deserializer::from_slice(text)).map_err(refuse);
    }
    let text = std::str::from_utf8(text).map_err(|e| Refusal { line: None, why: e.to_string() })?;
    seed.deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|e: serde_yaml::Error| Refusal { line: e.location().map(|place| place.line()), why: without_place(&e.to_string()) })
}

/// Parsers end with the place inside the object; it is told as a place in the file.
fn without_place(message: &str) -> String {
    message.rfind(" at line ").and_then(|end| message.get(..end)).unwrap_or(message).to_owned()
}

impl Fields for Object {
    const NAMES: &'static [&'static str] =
        &["schema", "package", "name", "properties", "defaultChannel", "image", "relatedImages", "entries"];

    fn take<'de, A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
        match field {
            0 => self.schema = map.next_value::<Text>()?.0,
            1 => self.package = map.next_value::<Text>()?.0,
            2 => self.name = map.next_value::<Text>()?.0,
            3 => self.properties = plain(map.next_value()?),
            4 => self.default_channel = map.next_value::<Text>()?.0,
            5 => self.image = map.next_value::<Text>()?.0,
            6 => self.related = map.next_value::<List<Mapping<Image>>>()?.0.into_iter().map(|image| image.0.0).collect(),
            _ => self.entries = plain(map.next_value()?),
        }
        Ok(())
    }
}

fn plain<T>(list: List<Mapping<T>>) -> Vec<T> {
    list.0.into_iter().map(|item| item.0).collect()
}

/// An object of a schema that is not ours to understand.
#[derive(Default)]
struct Head(Object);

impl Fields for Head {
    const NAMES: &'static [&'static str] = &["schema", "package", "name"];

    fn take<'de, A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
        self.0.take(field, map)
    }
}

#[derive(Default)]
struct Image(String);

impl Fields for Image {
    const NAMES: &'static [&'static str] = &["image"];

    fn take<'de, A: MapAccess<'de>>(&mut self, _: usize, map: &mut A) -> Result<(), A::Error> {
        self.0 = map.next_value::<Text>()?.0;
        Ok(())
    }
}

impl Fields for Entry {
    const NAMES: &'static [&'static str] = &["name", "replaces", "skips"];

    fn take<'de, A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
        match field {
            0 => self.name = map.next_value::<Text>()?.0,
            1 => self.replaces = map.next_value::<Text>()?.0,
            _ => self.skips = map.next_value::<List<Text>>()?.0.into_iter().map(|skip| skip.0).collect(),
        }
        Ok(())
    }
}

/// Property types whose value is looked into.
fn is_read(kind: &str) -> bool {
    matches!(kind, "olm.package" | "olm.gvk" | "olm.gvk.required" | "olm.package.required" | "olm.constraint")
}

const CSV: &str = "olm.csv.metadata";

impl Fields for Property {
    const NAMES: &'static [&'static str] = &["type", "value"];

    fn take<'de, A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
        match (field, self.kind.as_str()) {
            (0, _) => {
                self.kind = map.next_value::<Text>()?.0;
                self.value_came_first();
            }
            (_, CSV) => self.display_name = map.next_value::<Mapping<Csv>>()?.0.0,
            (_, kind) if is_read(kind) => self.value = emitted(map, CATALOG_PROPERTY_BYTES)?,
            (_, "") => self.value = emitted(map, CATALOG_OBJECT_BYTES)?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Property {
    /// The value was there before its type: now it is known what it is.
    fn value_came_first(&mut self) {
        if self.kind == CSV
            && let Ok(Mapping(csv)) = read::<Mapping<Csv>>(&self.value, true)
        {
            self.display_name = csv.0;
        }
        if !is_read(&self.kind) || self.value.len() > CATALOG_PROPERTY_BYTES {
            self.value = Vec::new();
        }
    }
}

fn emitted<'de, A: MapAccess<'de>>(map: &mut A, limit: usize) -> Result<Vec<u8>, A::Error> {
    let mut emitter = Emitter::compact(limit);
    map.next_value_seed(&mut emitter)?;
    Ok(emitter.into_bytes())
}

#[derive(Default)]
struct Csv(String);

impl Fields for Csv {
    const NAMES: &'static [&'static str] = &["displayName"];

    fn take<'de, A: MapAccess<'de>>(&mut self, _: usize, map: &mut A) -> Result<(), A::Error> {
        self.0 = map.next_value::<Text>()?.0;
        Ok(())
    }
}

/// A value of a property, of the form its type has.
pub(super) fn value<T: for<'de> Deserialize<'de>>(property: &Property) -> Result<T, String> {
    if property.value.is_empty() {
        return Err(format!("{} has no value, or one that is too long", property.kind));
    }
    serde_json::from_slice(&property.value).map_err(|e| format!("{}: {}", property.kind, without_place(&e.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Result<Object, Refusal> {
        Object::parse(text.as_bytes(), false)
    }

    #[test]
    fn members_are_found_in_any_letter_case_and_once() {
        let object = yaml("SCHEMA: olm.bundle\nName: a.v1\nrelatedimages: [{IMAGE: x}, {name: n, image: ''}, null]\n").unwrap();
        assert_eq!((object.schema.as_str(), object.name.as_str(), object.related.len()), ("olm.bundle", "a.v1", 3));
        let refused = yaml("schema: olm.bundle\nname: a\nname2: b\nNAME: c\n").unwrap_err_or_panic();
        assert!(refused.why.contains("name is there twice"), "{refused:?}");
    }

    #[test]
    fn what_is_unknown_may_have_any_form() {
        let object = yaml("entries: {a: 1}\nschema: x.y\npackage: p\nproperties: 3\n").unwrap();
        assert_eq!((object.schema.as_str(), object.package.as_str()), ("x.y", "p"));
        let refused = yaml("name: p\nschema: olm.channel\nentries: {a: 1}\n").unwrap_err_or_panic();
        assert!(refused.why.contains("list") && refused.line == Some(3), "{refused:?}");
        assert!(yaml("name: 4.10\nschema: olm.package\n").is_err(), "a number that lost a digit is no name");
        assert!(yaml("name: x\n").is_err() && yaml("- a\n").is_err() && yaml("a: b: c\n").is_err());
    }

    #[test]
    fn a_value_before_its_type_is_read_all_the_same() {
        let text = r#"{"schema":"olm.bundle","properties":[{"value":{"displayName":"D"},"type":"olm.csv.metadata"},
            {"value":{"a":1},"type":"olm.gvk"},{"value":{"a":2},"type":"x"},{"type":"olm.csv.metadata","value":{"displayName":"E \ud83d\ude00"}}]}"#;
        let object = Object::parse(text.as_bytes(), true).unwrap_or_else(|e| panic!("{e:?}"));
        let read: Vec<_> = object.properties.iter().map(|p| (p.display_name.as_str(), p.value.as_slice())).collect();
        assert_eq!(read, [("D", &b""[..]), ("", b"{\"a\":1}"), ("", b""), ("E 😀", b"")]);
    }

    trait Refused {
        fn unwrap_err_or_panic(self) -> Refusal;
    }

    impl Refused for Result<Object, Refusal> {
        fn unwrap_err_or_panic(self) -> Refusal {
            match self {
                Ok(object) => panic!("{} was read", object.schema),
                Err(refusal) => refusal,
            }
        }
    }
}
