//! `textwrap.wrap` with `expand_tabs=False` and `replace_whitespace=False`.

/// The lines of `text`, at most `width` characters each, which must be positive. Longer words are broken or get their own line.
pub(in crate::template) fn wrap(
    text: &str,
    width: usize,
    break_long_words: bool,
    break_on_hyphens: bool,
) -> Vec<String> {
    let mut chunks = chunks(text, break_on_hyphens);
    chunks.reverse();
    let mut lines: Vec<String> = Vec::new();
    while let Some(last) = chunks.last() {
        if !lines.is_empty() && is_blank(last) {
            chunks.pop();
            continue;
        }
        let mut line: Vec<Vec<char>> = Vec::new();
        let mut length = 0;
        while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.len() <= width) {
            length += chunk.len();
            line.push(chunk);
        }
        if let Some(mut chunk) = chunks.pop_if(|chunk| chunk.len() > width) {
            if break_long_words {
                let space = width - length;
                let end = hyphen_before(&chunk, space)
                    .filter(|_| break_on_hyphens)
                    .unwrap_or(space);
                let rest = chunk.split_off(end);
                line.push(chunk);
                chunks.push(rest);
            } else if line.is_empty() {
                line.push(chunk);
            } else {
                chunks.push(chunk);
            }
        }
        line.pop_if(|chunk| is_blank(chunk));
        if !line.is_empty() {
            lines.push(line.concat().into_iter().collect());
        }
    }
    lines
}

fn is_blank(chunk: &[char]) -> bool {
    chunk.iter().all(|character| character.is_whitespace())
}

/// The end of the last part that ends with a hyphen within the first `space` characters, unless there are only hyphens.
fn hyphen_before(chunk: &[char], space: usize) -> Option<usize> {
    let position = chunk
        .iter()
        .take(space)
        .rposition(|character| *character == '-')?;
    let has_text = chunk
        .iter()
        .take(position)
        .any(|character| *character != '-');
    has_text.then_some(position + 1)
}

/// Words and the white space between them. Words are divided after a hyphen between letters.
fn chunks(text: &str, break_on_hyphens: bool) -> Vec<Vec<char>> {
    let characters: Vec<char> = text.chars().collect();
    let mut chunks: Vec<Vec<char>> = Vec::new();
    for (index, character) in characters.iter().enumerate() {
        let (before, after) = characters.split_at(index);
        let starts = match before.last() {
            None => true,
            Some(last) if last.is_whitespace() != character.is_whitespace() => true,
            Some('-') => break_on_hyphens && is_hyphenated(before, after),
            Some(_) => false,
        };
        match chunks.last_mut().filter(|_| !starts) {
            Some(chunk) => chunk.push(*character),
            None => chunks.push(vec![*character]),
        }
    }
    chunks
}

/// Whether a word may be divided between `before`, which ends with a hyphen, and `after`: at least two word characters on both
/// sides, of which the last one before the hyphen and one after the first are letters.
fn is_hyphenated(before: &[char], after: &[char]) -> bool {
    let is_word = |character: &&char| character.is_alphanumeric() || **character == '_';
    let is_letter = |character: &char| {
        (character.is_alphanumeric() || *character == '_') && !character.is_ascii_digit()
    };
    let mut left = before.iter().rev().skip(1).take_while(is_word);
    let mut right = after.iter().take_while(is_word).skip(1);
    left.next().is_some_and(is_letter) && left.next().is_some() && right.any(is_letter)
}
