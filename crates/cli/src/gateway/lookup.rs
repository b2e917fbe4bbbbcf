//! Finds servers, downloads and profiles by what users type: a name, a unique part of one, or the start of an id.

use mlxm_api::wire::downloads::Download;
use mlxm_api::wire::profiles::Profile;
use mlxm_api::wire::servers::Server;
use mlxm_api::wire::settings::Setting;
use mlxm_hub::names;

use crate::failure::Failure;

/// Characters of an id that are enough to recognize one.
const MIN_ID_CHARACTERS: usize = 6;

/// An item that has an id and a name.
pub trait Named {
    /// What it is, for messages.
    const NOUN: &'static str;
    /// What to do if there is none of the name.
    const HINT: &'static str;

    /// Its id.
    fn id(&self) -> String;

    /// Its name.
    fn name(&self) -> &str;
}

impl Named for Server {
    const NOUN: &'static str = "running model";
    const HINT: &'static str = "`mlxm ps` lists the running models";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for Download {
    const NOUN: &'static str = "download";
    const HINT: &'static str = "`mlxm downloads list` lists the downloads";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.repo_id
    }
}

impl Named for Profile {
    const NOUN: &'static str = "profile";
    const HINT: &'static str = "`mlxm profile list` lists the profiles";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn name(&self) -> &str {
        &self.config.name
    }
}

impl Named for Setting {
    const NOUN: &'static str = "setting";
    const HINT: &'static str = "`mlxm config list` lists the settings";

    fn id(&self) -> String {
        self.key.clone()
    }

    fn name(&self) -> &str {
        &self.key
    }
}

/// The only item that `wanted` stands for.
pub fn find<'a, T: Named>(items: &'a [T], wanted: &str) -> Result<&'a T, Failure> {
    let is_id = wanted.len() >= MIN_ID_CHARACTERS;
    let by_id: Vec<&T> = items
        .iter()
        .filter(|item| is_id && item.id().starts_with(wanted))
        .collect();
    if let [item] = by_id[..] {
        return Ok(item);
    }
    let known: Vec<&str> = items.iter().map(Named::name).collect();
    let found: Vec<&T> = names::matches(&known, wanted)
        .into_iter()
        .filter_map(|index| items.get(index))
        .collect();
    if let [item] = found[..] {
        return Ok(item);
    }
    if found.is_empty() {
        let nearest = names::nearest(&known, wanted);
        let hint = if nearest.is_empty() {
            T::HINT.to_owned()
        } else {
            format!("did you mean {}?", names::list(&nearest))
        };
        return Err(Failure::with_hint(
            format!("there is no {} `{wanted}`", T::NOUN),
            hint,
        ));
    }
    let candidates = found
        .iter()
        .map(|item| format!("{} ({})", item.name(), item.id()));
    Err(Failure::with_hint(
        format!(
            "`{wanted}` is ambiguous: {}",
            candidates.collect::<Vec<_>>().join(", ")
        ),
        "use the whole name, or the first characters of the id",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(&'static str, &'static str);

    impl Named for Item {
        const NOUN: &'static str = "item";
        const HINT: &'static str = "list the items";

        fn id(&self) -> String {
            self.0.to_owned()
        }

        fn name(&self) -> &str {
            self.1
        }
    }

    const ITEMS: [Item; 3] = [
        Item("0199aaaa", "org/Tiny-4bit"),
        Item("0199bbbb", "org/Tiny-8bit"),
        Item("0199cccc", "org/Tiny-8bit"),
    ];

    #[test]
    fn find_accepts_unique_parts_of_names_and_ids() {
        assert_eq!(find(&ITEMS, "4BIT").ok().unwrap().0, "0199aaaa");
        assert_eq!(find(&ITEMS, "0199cc").ok().unwrap().0, "0199cccc");
        // Too short for an id.
        assert!(find(&ITEMS, "0199c").is_err());
    }

    #[test]
    fn find_names_candidates_and_similar_names() {
        let message = |wanted| find(&ITEMS, wanted).err().unwrap().to_string();
        let ambiguous = message("tiny-8bit");
        assert!(
            ambiguous.contains("0199bbbb") && ambiguous.contains("0199cccc"),
            "{ambiguous}"
        );
        assert!(!ambiguous.contains("0199aaaa"), "{ambiguous}");
        assert!(message("tinny-4bit").contains("did you mean `org/Tiny-4bit`"));
        assert!(message("zzz").ends_with("list the items"));
    }
}
