//! Where the events in a worker's stream end.
//!
//! A stream that a worker cuts off in the middle of an event must not pass the first part of it on: the error that follows would
//! become part of its data. So the part after the last complete event waits for the rest. Clients do not notice: they cannot use
//! an event before its end.

use std::collections::VecDeque;

use axum::body::Bytes;

/// Longer events pass in parts, so that memory is bounded.
const MAX_INCOMPLETE_BYTES: usize = 1 << 20;

/// The end of a stream of events so far.
#[derive(Debug, Default)]
pub struct Events {
    /// The chunks of the incomplete event.
    incomplete: Vec<Bytes>,
    incomplete_bytes: usize,
    /// Whether a part of the incomplete event was passed on.
    is_partial: bool,
    ends_with_line: bool,
    /// The last chunk with complete events, except for comments.
    last: Bytes,
}

impl Events {
    /// Adds the next chunk, and appends what can be sent to `ready`.
    pub fn push(&mut self, mut chunk: Bytes, ready: &mut VecDeque<Bytes>) {
        if chunk.is_empty() {
            return;
        }
        let end = end_of_last_event(&chunk, self.ends_with_line);
        self.ends_with_line = chunk.last() == Some(&b'\n');
        if let Some(end) = end {
            let complete = chunk.split_to(end);
            ready.extend(self.incomplete.drain(..));
            self.incomplete_bytes = 0;
            self.is_partial = false;
            if !complete.starts_with(b":") {
                self.last = complete.clone();
            }
            ready.push_back(complete);
        }
        if !chunk.is_empty() {
            self.incomplete_bytes += chunk.len();
            self.incomplete.push(chunk);
        }
        if self.incomplete_bytes > MAX_INCOMPLETE_BYTES {
            ready.extend(self.incomplete.drain(..));
            self.incomplete_bytes = 0;
            self.is_partial = true;
        }
    }

    /// Ends the stream as the worker did: what follows the last event is sent, too.
    pub fn end(&mut self, ready: &mut VecDeque<Bytes>) {
        ready.extend(self.incomplete.drain(..));
    }

    /// Ends the stream with these events in place of the incomplete one.
    pub fn end_with(&mut self, events: Vec<Bytes>, ready: &mut VecDeque<Bytes>) {
        self.incomplete.clear();
        if self.is_partial {
            ready.push_back(Bytes::from_static(b"\n\n"));
        }
        ready.extend(events);
    }

    /// The `sequence_number` that the next event of the Responses API has.
    pub fn next_sequence_number(&self) -> u64 {
        // In a text, the quotes have backslashes.
        const KEY: &[u8] = b"\"sequence_number\":";
        let at = self.last.windows(KEY.len()).rposition(|part| part == KEY);
        let digits = at.and_then(|at| self.last.get(at + KEY.len()..));
        let digits = digits.unwrap_or_default().iter();
        let digits = digits.map_while(|byte| char::from(*byte).to_digit(10));
        let number = digits.fold(None, |number: Option<u64>, digit| {
            let number = number.unwrap_or_default().saturating_mul(10);
            Some(number.saturating_add(digit.into()))
        });
        number.map_or(0, |number| number.saturating_add(1))
    }
}

/// The position after the last blank line; `after_line` says whether the previous chunk ended with a line break.
fn end_of_last_event(chunk: &[u8], after_line: bool) -> Option<usize> {
    let blank = chunk.windows(2).rposition(|pair| pair == b"\n\n");
    blank
        .map(|at| at + 2)
        .or_else(|| (after_line && chunk.first() == Some(&b'\n')).then_some(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const STREAM: &str = "event: a\ndata: {\"sequence_number\":9,\"delta\":\"\\\"sequence_number\\\":77\"}\n\n: keepalive\n\n";

    fn text(ready: &VecDeque<Bytes>) -> String {
        let bytes: Vec<u8> = ready.iter().flatten().copied().collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn incomplete_event_is_replaced_by_an_error() {
        let (mut events, mut ready) = (Events::default(), VecDeque::new());
        events.push(Bytes::from(format!("{STREAM}data: {{\"a")), &mut ready);
        assert_eq!(text(&ready), STREAM);
        assert_eq!(events.next_sequence_number(), 10);
        events.end_with(vec![Bytes::from_static(b"data: error\n\n")], &mut ready);
        assert_eq!(text(&ready), format!("{STREAM}data: error\n\n"));
    }

    #[test]
    fn very_long_events_pass_in_parts() {
        let (mut events, mut ready) = (Events::default(), VecDeque::new());
        let part = "x".repeat(MAX_INCOMPLETE_BYTES / 2 + 1);
        for _ in 0..3 {
            events.push(Bytes::from(part.clone()), &mut ready);
        }
        assert_eq!(ready.len(), 2);
        ready.clear();
        events.end_with(vec![Bytes::from_static(b"data: error\n\n")], &mut ready);
        assert_eq!(text(&ready), "\n\ndata: error\n\n");
    }

    proptest! {
        #[test]
        fn chunks_are_passed_on_unchanged_up_to_the_last_event(
            lines in prop::collection::vec(prop::sample::select(vec!["\n", "data: x\n", "\n\n", ": c\n"]), 0..30),
            cuts in prop::collection::vec(any::<Index>(), 0..10),
        ) {
            let stream = lines.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut events, mut ready) = (Events::default(), VecDeque::new());
            let mut start = 0;
            for end in cuts.into_iter().chain([stream.len()]) {
                events.push(Bytes::copy_from_slice(&stream.as_bytes()[start..end]), &mut ready);
                start = end;
            }
            let complete = stream.rfind("\n\n").map_or(0, |at| at + 2);
            prop_assert_eq!(text(&ready), &stream[..complete]);
            events.end(&mut ready);
            prop_assert_eq!(text(&ready), stream);
        }
    }
}
