use super::*;
use crate::messages::{MessageBody, MessageState, Role};
use proptest::prelude::*;

type Link = (Uuid, Option<Uuid>);

fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

/// Trees of messages in the order of their creation: each parent is an earlier message, or none.
fn forests() -> impl Strategy<Value = Vec<Link>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..40).prop_map(|parents| {
        let links = parents.iter().enumerate().map(|(number, parent)| {
            let parent = parent.index(number + 1).checked_sub(1);
            (id(number), parent.map(id))
        });
        links.collect()
    })
}

fn message((id, parent_id): Link, created_at_ms: i64) -> Message {
    Message {
        id,
        chat_id: Uuid::nil(),
        parent_id,
        role: Role::User,
        body: MessageBody::default(),
        model: None,
        run_id: None,
        seq: 0,
        state: MessageState::Complete,
        created_at_ms,
        updated_at_ms: created_at_ms,
    }
}

#[test]
fn branches_of_an_example() {
    // 0 ─ 1 ─ 2
    //   └ 3 ─ 4 ─ 5
    let links = [
        (id(0), None),
        (id(1), Some(id(0))),
        (id(2), Some(id(1))),
        (id(3), Some(id(0))),
        (id(4), Some(id(3))),
        (id(5), Some(id(4))),
    ];
    let ids = |leaf| {
        branch(&links, leaf)
            .into_iter()
            .map(Node::id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(id(2)), [id(0), id(1), id(2)]);
    assert_eq!(ids(id(4)), [id(0), id(3), id(4)]);
    assert!(ids(id(9)).is_empty());
    assert_eq!(subtree(&links, id(3)), [id(3), id(4), id(5)]);
    assert!(subtree(&links, id(9)).is_empty());
    assert_eq!(newest_leaf(&links, None), Some(id(5)));
    assert_eq!(newest_leaf(&links, Some(id(1))), Some(id(2)));
    assert_eq!(newest_leaf(&links, Some(id(9))), None);
    assert_eq!(newest_leaf::<Link>(&[], None), None);
}

#[test]
fn messages_that_form_no_tree_are_reported() {
    let cycle = [
        message((id(0), Some(id(1))), 0),
        message((id(1), Some(id(0))), 1),
    ];
    assert_eq!(parents_first(&cycle), Err(id(0)));
    assert_eq!(branch(&cycle, id(0)).len(), 2);
    assert!(newest_leaf(&cycle, Some(id(0))).is_some());
    let missing = [message((id(0), None), 0), message((id(1), Some(id(7))), 1)];
    assert_eq!(parents_first(&missing), Err(id(1)));
    let repeated = [message((id(0), None), 0), message((id(0), None), 1)];
    assert_eq!(parents_first(&repeated), Err(id(0)));
}

proptest! {
    #[test]
    fn a_branch_goes_from_a_first_message_to_the_leaf(links in forests()) {
        for (leaf, _) in &links {
            let branch = branch(&links, *leaf);
            prop_assert_eq!(branch.last().map(|link| link.0), Some(*leaf));
            prop_assert_eq!(branch.first().and_then(|link| link.1), None);
            for pair in branch.windows(2) {
                prop_assert_eq!(pair[1].1, Some(pair[0].0));
            }
        }
    }

    #[test]
    fn a_subtree_is_what_has_the_root_in_its_branch(links in forests()) {
        for (root, _) in &links {
            let expected: Vec<Uuid> = links
                .iter()
                .map(Node::id)
                .filter(|leaf| branch(&links, *leaf).iter().any(|link| link.0 == *root))
                .collect();
            prop_assert_eq!(subtree(&links, *root), expected);
        }
    }

    #[test]
    fn the_newest_leaf_is_a_leaf_of_the_subtree(links in forests()) {
        for (root, _) in &links {
            let leaf = newest_leaf(&links, Some(*root)).unwrap();
            prop_assert!(subtree(&links, *root).contains(&leaf));
            prop_assert!(links.iter().all(|link| link.1 != Some(leaf)));
        }
    }

    #[test]
    fn any_order_of_a_tree_is_sorted_with_parents_first(
        links in forests(),
        order in any::<prop::sample::Index>(),
        times in prop::collection::vec(0_i64..5, 40),
    ) {
        let mut messages: Vec<Message> = links
            .iter()
            .zip(times)
            .map(|(link, time)| message(*link, time))
            .collect();
        if !messages.is_empty() {
            let middle = order.index(messages.len());
            messages.rotate_left(middle);
        }
        let ordered = parents_first(&messages).unwrap();
        prop_assert_eq!(ordered.len(), messages.len());
        let mut seen = HashSet::new();
        for message in ordered {
            prop_assert!(message.parent_id.is_none_or(|parent| seen.contains(&parent)));
            prop_assert!(seen.insert(message.id));
        }
    }
}
