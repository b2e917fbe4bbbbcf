//! What a file is, by its content: the name and the declared type only tell texts apart.

use crate::wire::attachments::AttachmentKind;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// What a model can do with it.
    pub kind: AttachmentKind,
    /// Its type, such as `text/x-rust`.
    pub media_type: String,
}

/// A file that no model reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file is {found}; text and code in UTF-8, PNG, JPEG, GIF and WebP can be attached")]
pub struct Unsupported {
    found: &'static str,
}

/// Beginnings of images.
const IMAGES: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
];

/// Beginnings of files that are not read, for the message.
const OTHERS: [(&[u8], &str); 14] = [
    (b"%PDF-", "a PDF document: attach its text"),
    (b"PK\x03\x04", "an archive or an office document"),
    (b"\x1f\x8b", "compressed"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xff\xfe", "text in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16: save it as UTF-8"),
    (b"BM", "an image in another format: save it as PNG"),
    (b"II*\0", "an image in another format: save it as PNG"),
    (b"MM\0*", "an image in another format: save it as PNG"),
    (b"ID3", "audio"),
    (b"OggS", "audio"),
];

/// Types of texts by the ending of their name.
const TEXTS: [(&str, &str); 47] = [
    ("bash", "text/x-shellscript"),
    ("c", "text/x-c"),
    ("cc", "text/x-c++"),
    ("cjs", "text/javascript"),
    ("cpp", "text/x-c++"),
    ("cs", "text/x-csharp"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("diff", "text/x-diff"),
    ("go", "text/x-go"),
    ("h", "text/x-c"),
    ("hpp", "text/x-c++"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ini", "text/x-ini"),
    ("java", "text/x-java"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsx", "text/javascript"),
    ("kt", "text/x-kotlin"),
    ("lua", "text/x-lua"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("patch", "text/x-diff"),
    ("php", "text/x-php"),
    ("pl", "text/x-perl"),
    ("py", "text/x-python"),
    ("r", "text/x-r"),
    ("rb", "text/x-ruby"),
    ("rs", "text/x-rust"),
    ("scala", "text/x-scala"),
    ("sh", "text/x-shellscript"),
    ("sql", "application/sql"),
    ("svelte", "text/x-svelte"),
    ("svg", "text/xml"),
    ("swift", "text/x-swift"),
    ("tex", "text/x-tex"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsv", "text/tab-separated-values"),
    ("tsx", "text/x-typescript"),
    ("vue", "text/x-vue"),
    ("xml", "text/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zig", "text/x-zig"),
];

/// What a file is. A declared type of a text is kept.
///
/// # Errors
/// If it is neither text nor an image that models read.
pub fn detect(name: &str, declared: Option<&str>, content: &[u8]) -> Result<Detected, Unsupported> {
    if let Some(media_type) = image_type(content) {
        return Ok(Detected {
            kind: AttachmentKind::Image,
            media_type: media_type.to_owned(),
        });
    }
    if !is_text(content) {
        let known = OTHERS.iter().find(|(start, _)| content.starts_with(start));
        return Err(Unsupported {
            found: known.map_or_else(|| other(content), |(_, found)| *found),
        });
    }
    let declared = declared.filter(|media_type| is_text_type(media_type));
    Ok(Detected {
        kind: AttachmentKind::Text,
        media_type: declared.unwrap_or_else(|| text_type(name)).to_owned(),
    })
}

/// What a model can do with a stored file of this type, as [`detect`] has found it.
pub fn kind_of(media_type: &str) -> AttachmentKind {
    if media_type.starts_with("image/") {
        AttachmentKind::Image
    } else {
        AttachmentKind::Text
    }
}

fn image_type(content: &[u8]) -> Option<&'static str> {
    let is_webp = content.starts_with(b"RIFF") && content.get(8..12) == Some(&b"WEBP"[..]);
    let known = IMAGES.iter().find(|(start, _)| content.starts_with(start));
    known
        .map(|(_, media_type)| *media_type)
        .or_else(|| is_webp.then_some("image/webp"))
}

fn other(content: &[u8]) -> &'static str {
    match content.get(4..8) {
        Some(b"ftyp") => "a video, or an image in another format",
        _ if content.starts_with(b"RIFF") => "audio or a video",
        _ if content.is_empty() => "empty",
        _ => "not text",
    }
}

/// UTF-8 without characters that only other files have.
fn is_text(content: &[u8]) -> bool {
    let is_allowed = |character: char| {
        !character.is_ascii_control() || "\t\n\r\u{8}\u{c}\u{1b}".contains(character)
    };
    let text = std::str::from_utf8(content);
    text.is_ok_and(|text| !text.is_empty() && text.chars().all(is_allowed))
}

/// Whether a declared type is that of a text, without parameters.
fn is_text_type(media_type: &str) -> bool {
    let is_valid = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '/' | '-' | '+' | '.')
    };
    let is_known = TEXTS.iter().any(|(_, known)| *known == media_type);
    media_type.len() <= 100
        && media_type.chars().all(is_valid)
        && (is_known || media_type.starts_with("text/"))
}

fn text_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let ending = ending.to_ascii_lowercase();
    let known = TEXTS.iter().find(|(known, _)| *known == ending);
    known.map_or("text/plain", |(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media_type(name: &str, declared: Option<&str>, content: &[u8]) -> Result<String, String> {
        let detected = detect(name, declared, content);
        detected
            .map(|detected| {
                assert_eq!(kind_of(&detected.media_type), detected.kind);
                detected.media_type
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn content_decides_between_image_and_text() {
        for (name, declared, content, expected) in [
            ("main.rs", None, &b"fn main() {}"[..], "text/x-rust"),
            // What browsers say about TypeScript.
            (
                "a.ts",
                Some("video/mp2t"),
                b"let a = 1",
                "text/x-typescript",
            ),
            ("notes", Some("text/x-notes"), b"a", "text/x-notes"),
            ("LICENSE", None, "\u{feff}é\t\r\n".as_bytes(), "text/plain"),
            ("a.svg", Some("image/svg+xml"), b"<svg/>", "text/xml"),
            (
                "a.txt",
                Some("text/plain"),
                b"\x89PNG\r\n\x1a\n..",
                "image/png",
            ),
            ("a", None, b"RIFF\x04\0\0\0WEBPVP8 ", "image/webp"),
            ("a.png", Some("image/png"), b"no image", "text/plain"),
            ("a", Some("text/html; charset=x\r\n"), b"a", "text/plain"),
        ] {
            assert_eq!(
                media_type(name, declared, content).as_deref(),
                Ok(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn files_that_no_model_reads_are_named() {
        for (content, found) in [
            (&b"%PDF-1.7\0"[..], "a PDF document"),
            (b"PK\x03\x04\0", "an archive"),
            (b"\xff\xfea\0", "UTF-16"),
            (b"a\0b", "not text"),
            (b"\xe9t\xe9", "not text"),
            (b"\0\0\0\x18ftypheic", "a video, or an image"),
            (b"", "empty"),
        ] {
            let message = media_type("a.txt", None, content).unwrap_err();
            assert!(message.contains(found), "{message}");
        }
    }
}
