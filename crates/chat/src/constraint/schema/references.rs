//! `$ref`: references to parts of the schema itself.

use std::borrow::Cow;

use serde_json::Value;

use super::pointer::Pointer;

/// The name of a definition in the prepared schema.
pub(super) fn name(index: usize) -> String {
    format!("d{index}")
}

/// The name of a definition for numbers in the prepared schema.
pub(super) fn number_name(index: usize) -> String {
    format!("n{index}")
}

/// The reference to a definition in the prepared schema.
pub(super) fn reference(index: usize) -> String {
    format!("#/$defs/{}", name(index))
}

/// The definition that such a reference names.
pub(super) fn index(reference: &str) -> Option<usize> {
    reference.strip_prefix("#/$defs/d")?.parse().ok()
}

/// What references can name: the schema, parts of it with an `$id`, and anchors.
pub(super) struct Resources<'a> {
    /// The schema itself first.
    resources: Vec<Named<'a>>,
    anchors: Vec<Named<'a>>,
}

struct Named<'a> {
    name: &'a str,
    /// The name, resolved against the resource that contains this one.
    uri: String,
    at: Pointer,
    schema: &'a Value,
}

impl<'a> Resources<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let name = root.get("$id").and_then(Value::as_str).unwrap_or_default();
        let mut resources = Self {
            resources: vec![Named {
                name,
                uri: name.to_owned(),
                at: Pointer::root(),
                schema: root,
            }],
            anchors: Vec::new(),
        };
        resources.collect(root, &Pointer::root(), true);
        resources
    }

    /// Whether parts of the schema are resources of their own.
    pub(super) fn has_embedded(&self) -> bool {
        self.resources.len() > 1
    }

    /// The schema that a reference at `at` names, and its location; `None` if it is external, missing or ambiguous.
    pub(super) fn resolve(&self, reference: &str, at: &Pointer) -> Option<(&'a Value, Pointer)> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if base.is_empty() {
            self.enclosing(at)?
        } else {
            let mut named = self.resources.iter().filter(|one| one.is_named(base));
            named.next().filter(|_| named.next().is_none())?
        };
        let path = percent_decoded(fragment)?;
        if path.is_empty() || path.starts_with('/') {
            let schema = resource.schema.pointer(&path)?;
            return Some((schema, resource.at.descendant(fragment)));
        }
        let mut anchors = self.anchors.iter().filter(|anchor| {
            let within = self.enclosing(&anchor.at);
            anchor.name == path && within.is_some_and(|within| within.at == resource.at)
        });
        let anchor = anchors.next().filter(|_| anchors.next().is_none())?;
        Some((anchor.schema, anchor.at.clone()))
    }

    /// As [`resolve`](Self::resolve), where the location of the reference is not known.
    pub(super) fn resolve_anywhere(&self, reference: &str) -> Option<&'a Value> {
        if self.has_embedded() && reference.starts_with('#') {
            return None;
        }
        let (schema, _) = self.resolve(reference, &Pointer::root())?;
        Some(schema)
    }

    /// The innermost resource that contains this location.
    fn enclosing(&self, at: &Pointer) -> Option<&Named<'a>> {
        let containing = self.resources.iter().filter(|one| at.is_within(&one.at));
        containing.max_by_key(|one| one.at.depth())
    }

    fn collect(&mut self, value: &'a Value, at: &Pointer, is_schema: bool) {
        match value {
            Value::Object(members) => {
                if is_schema {
                    self.add(value, at);
                }
                for (key, member) in members {
                    let key = key.as_str();
                    let literal =
                        matches!(key, "const" | "enum" | "default" | "examples" | "example");
                    if is_schema && literal {
                        continue;
                    }
                    let named = matches!(
                        key,
                        "properties"
                            | "patternProperties"
                            | "$defs"
                            | "definitions"
                            | "dependentSchemas"
                    );
                    self.collect(member, &at.child(key), !(is_schema && named));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &at.child(index), is_schema);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, schema: &'a Value, at: &Pointer) {
        let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
        let parent = self.enclosing(at).map_or("", |parent| parent.uri.as_str());
        let parent = parent.to_owned();
        let named = |name: &'a str| Named {
            name,
            uri: joined(&parent, name),
            at: at.clone(),
            schema,
        };
        for keyword in ["$anchor", "$dynamicAnchor"] {
            self.anchors.extend(text(keyword).map(named));
        }
        let Some(id) = text("$id") else {
            return;
        };
        // Before draft 2019-09, anchors were identifiers.
        if let Some(anchor) = id.strip_prefix('#') {
            self.anchors.push(named(anchor));
        } else if *at != Pointer::root() {
            self.resources.push(named(id));
        }
    }
}

impl Named<'_> {
    /// Whether a reference without its fragment names this resource. It may be relative.
    fn is_named(&self, base: &str) -> bool {
        let relative = base.trim_start_matches("./").trim_start_matches('/');
        [self.name, &self.uri].into_iter().any(|id| {
            let id = id.trim_end_matches('#');
            id == base
                || id
                    .strip_suffix(relative)
                    .is_some_and(|start| start.ends_with('/'))
        })
    }
}

/// An `$id`, which may be relative, as a URI. `base` is the URI of the resource that contains it.
fn joined(base: &str, id: &str) -> String {
    let has_scheme = id
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    let path_start = base.find("://").map_or(0, |position| position + 3);
    if has_scheme || path_start == 0 && !base.contains('/') {
        return id.to_owned();
    }
    let path = |position: Option<usize>| position.map_or(base.len(), |slash| path_start + slash);
    let (end, id) = match id.strip_prefix('/') {
        Some(rest) => (path(base[path_start..].find('/')), rest),
        None => (
            path(base[path_start..].rfind('/')),
            id.trim_start_matches("./"),
        ),
    };
    format!("{}/{id}", &base[..end])
}

fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_name_pointers_anchors_and_embedded_resources() {
        let root = json!({
            "$id": "https://example.com/schemas/order",
            "properties": {
                "$id": {"type": "null"},
                "tree": {"$id": "T0", "$defs": {"leaf": {"const": "inner"}}, "items": {"$ref": "#/$defs/leaf"}},
            },
            "$defs": {
                "leaf": {"const": "outer"},
                "address": {"$id": "https://example.com/schemas/address", "$anchor": "here"},
                "size": {"$anchor": "size", "const": 1},
                "old": {"$id": "#old", "const": 2},
                "street": {"$id": "street", "$defs": {"name": {"$id": "parts/name"}}},
                "town": {"$id": "/town"},
            },
        });
        let resources = Resources::new(&root);
        let resolve = |reference: &str, at: &Pointer| {
            resources
                .resolve(reference, at)
                .map(|(_, at)| at.to_string())
        };
        let outside = Pointer::root().child("items");
        let inside = Pointer::root()
            .child("properties")
            .child("tree")
            .child("items");
        for (reference, at, expected) in [
            ("#", &outside, "#"),
            ("#/$defs/leaf", &outside, "#/$defs/leaf"),
            ("#/$defs/leaf", &inside, "#/properties/tree/$defs/leaf"),
            ("T0", &inside, "#/properties/tree"),
            (
                "https://example.com/schemas/order#size",
                &inside,
                "#/$defs/size",
            ),
            ("address", &outside, "#/$defs/address"),
            ("/schemas/address#here", &outside, "#/$defs/address"),
            ("#old", &outside, "#/$defs/old"),
            (
                "https://example.com/schemas/street",
                &outside,
                "#/$defs/street",
            ),
            (
                "https://example.com/schemas/parts/name",
                &inside,
                "#/$defs/street/$defs/name",
            ),
            ("https://example.com/town", &outside, "#/$defs/town"),
            (
                "https://example.com/schemas/T0#/$defs/leaf",
                &outside,
                "#/properties/tree/$defs/leaf",
            ),
        ] {
            assert_eq!(
                resolve(reference, at).as_deref(),
                Some(expected),
                "{reference}"
            );
        }
        for missing in ["#here", "#/nowhere", "ess", "https://example.com/other"] {
            assert_eq!(resolve(missing, &outside), None, "{missing}");
        }
    }
}
