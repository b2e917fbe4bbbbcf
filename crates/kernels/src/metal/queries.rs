//! The spans of a pass as attention kernels read them: a list of queries, followed by the block tables.

use crate::{KvSpan, Mask, kernels::SpanList};

/// Up to this many rows of a span are computed row by row, more in runs.
const MAX_SINGLE_ROWS: usize = 8;
/// Rows of a run.
pub(super) const RUN_ROWS: usize = 32;
/// Words of a query in the list.
const QUERY_WORDS: usize = 6;

/// Consecutive rows of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    row: usize,
    rows: usize,
    /// Position of the first row.
    position: usize,
    /// One past the last position of the span that any of the rows sees; 0 for a row that is in no span.
    end: usize,
    mask: Mask,
    /// The span.
    span: usize,
}

impl Query {
    /// Positions that the first row sees.
    pub fn visible(&self, window: Option<usize>) -> usize {
        let first = window.map_or(0, |window| (self.position + 1).saturating_sub(window));
        self.end.saturating_sub(first)
    }
}

/// The queries of a pass, those that see most first.
#[derive(Debug)]
pub(super) struct QueryList<'a> {
    /// Single rows: of short spans, and rows before the end of the last span that are in none.
    pub singles: Vec<Query>,
    /// Runs of at most [`RUN_ROWS`] rows of longer spans.
    pub runs: Vec<Query>,
    /// One past the last row of the last span.
    pub end: usize,
    spans: &'a [KvSpan<'a>],
}

impl<'a> QueryList<'a> {
    pub fn new(list: &'a SpanList<'a>) -> Self {
        let mut singles = Vec::new();
        let mut runs = Vec::new();
        let mut covered = 0;
        for (index, span) in list.spans.iter().enumerate() {
            singles.extend((covered..span.rows.start).map(|row| Query {
                row,
                rows: 1,
                position: 0,
                end: 0,
                mask: Mask::Causal,
                span: index,
            }));
            covered = span.rows.end;
            let (to, step) = if span.rows.len() <= MAX_SINGLE_ROWS {
                (&mut singles, 1)
            } else {
                (&mut runs, RUN_ROWS)
            };
            let end = span.first_position + span.rows.len();
            to.extend(span.rows.clone().step_by(step).map(|row| {
                let rows = step.min(span.rows.end - row);
                let position = span.first_position + row - span.rows.start;
                Query {
                    row,
                    rows,
                    position,
                    end: match span.mask {
                        Mask::Causal => position + rows,
                        Mask::Bidirectional => end,
                    },
                    mask: span.mask,
                    span: index,
                }
            }));
        }
        // The longest start first, and rows that need parts are together.
        for queries in [&mut singles, &mut runs] {
            queries.sort_by_key(|query| std::cmp::Reverse(query.end));
        }
        Self {
            singles,
            runs,
            end: list.end,
            spans: &list.spans,
        }
    }

    /// The words of the list: for each single and then each run its row, rows, position, end, whether the mask is
    /// bidirectional, and the index of its block table among the words; then the block tables.
    pub fn encode(&self) -> Vec<u32> {
        let mut table = (self.singles.len() + self.runs.len()) * QUERY_WORDS;
        let mut tables = Vec::with_capacity(self.spans.len());
        for span in self.spans {
            tables.push(table);
            table += span.blocks.len();
        }
        let mut words = Vec::with_capacity(table);
        for query in self.singles.iter().chain(&self.runs) {
            let fields = [
                query.row,
                query.rows,
                query.position,
                query.end,
                usize::from(query.mask == Mask::Bidirectional),
                tables[query.span],
            ];
            words.extend(fields.map(|field| field as u32));
        }
        for span in self.spans {
            words.extend_from_slice(span.blocks);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Arguments;

    #[test]
    fn list_has_every_row_once_and_the_block_tables() {
        let span = |rows: std::ops::Range<usize>, first_position, blocks, mask| KvSpan {
            rows,
            first_position,
            blocks,
            mask,
        };
        let mut arguments = Arguments::new(1);
        let spans = arguments
            .add_spans(vec![
                span(1..2, 40, &[7, 8], Mask::Causal),
                span(3..6, 2, &[9], Mask::Bidirectional),
                span(6..46, 10, &[u32::MAX, 4], Mask::Causal),
            ])
            .unwrap();
        let list = arguments.spans("attention", spans).unwrap();
        let queries = QueryList::new(list);
        let words = queries.encode();
        let (listed, tables) = words.split_at(8 * QUERY_WORDS);
        assert_eq!(
            listed.chunks_exact(QUERY_WORDS).collect::<Vec<_>>(),
            [
                // Rows of short spans, then the rows that are in no span.
                [1, 1, 40, 41, 0, 48],
                [3, 1, 2, 5, 1, 50],
                [4, 1, 3, 5, 1, 50],
                [5, 1, 4, 5, 1, 50],
                [0, 1, 0, 0, 0, 48],
                [2, 1, 0, 0, 0, 50],
                // Runs of 32 rows.
                [38, 8, 42, 50, 0, 51],
                [6, 32, 10, 42, 0, 51],
            ]
        );
        assert_eq!(tables, [7, 8, 9, u32::MAX, 4]);
        assert_eq!(queries.end, 46);
        let visible = |window| queries.singles[0].visible(window);
        assert_eq!((visible(None), visible(Some(5))), (41, 5));
    }
}
