//! The tree of a chat's messages. Pure. A later message has a greater id.

use super::Message;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use uuid::Uuid;

/// A message as a node of its tree.
pub trait Node {
    /// Its id.
    fn id(&self) -> Uuid;

    /// The message before it; `None` for the first of a branch.
    fn parent_id(&self) -> Option<Uuid>;
}

impl Node for Message {
    fn id(&self) -> Uuid {
        self.id
    }

    fn parent_id(&self) -> Option<Uuid> {
        self.parent_id
    }
}

/// The ids of a message and its parent.
impl Node for (Uuid, Option<Uuid>) {
    fn id(&self) -> Uuid {
        self.0
    }

    fn parent_id(&self) -> Option<Uuid> {
        self.1
    }
}

/// The branch that ends with `leaf`, from its first message; empty if `leaf` is not one of the messages.
pub fn branch<N: Node>(messages: &[N], leaf: Uuid) -> Vec<&N> {
    let by_id: HashMap<Uuid, &N> = messages
        .iter()
        .map(|message| (message.id(), message))
        .collect();
    let mut branch = Vec::new();
    let mut next = Some(leaf);
    while let Some(message) = next.and_then(|id| by_id.get(&id).copied()) {
        branch.push(message);
        // Messages that form a cycle are not stored; a file may have them.
        if branch.len() >= messages.len() {
            break;
        }
        next = message.parent_id();
    }
    branch.reverse();
    branch
}

/// A message and all after it in all branches, in the order of `messages`; empty if it is not one of them.
pub(crate) fn subtree<N: Node>(messages: &[N], root: Uuid) -> Vec<Uuid> {
    let mut children: HashMap<Option<Uuid>, Vec<Uuid>> = HashMap::new();
    for message in messages {
        children
            .entry(message.parent_id())
            .or_default()
            .push(message.id());
    }
    let mut found = HashSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(children.get(&Some(id)).into_iter().flatten().copied());
        }
    }
    messages
        .iter()
        .map(Node::id)
        .filter(|id| found.contains(id))
        .collect()
}

/// The end of the newest branch through `root`: its newest child, the newest child of that, and so on. Without `root`, of the
/// newest first message. `None` if there is no such message.
pub(crate) fn newest_leaf<N: Node>(messages: &[N], root: Option<Uuid>) -> Option<Uuid> {
    let mut newest_child: HashMap<Option<Uuid>, Uuid> = HashMap::new();
    for message in messages {
        let newest = newest_child
            .entry(message.parent_id())
            .or_insert(message.id());
        *newest = (*newest).max(message.id());
    }
    let mut leaf = match root {
        Some(root) => messages.iter().map(Node::id).find(|id| *id == root),
        None => newest_child.get(&None).copied(),
    }?;
    // At most as many steps as there are messages: a file may have a cycle.
    for _ in messages {
        match newest_child.get(&Some(leaf)) {
            Some(child) => leaf = *child,
            None => break,
        }
    }
    Some(leaf)
}

/// Messages in the order of their creation, but each after its parent.
///
/// # Errors
/// The id of a message that is repeated, whose parent is missing, or that is in a cycle.
pub(crate) fn parents_first(messages: &[Message]) -> Result<Vec<&Message>, Uuid> {
    let mut seen = HashSet::new();
    let mut children: HashMap<Option<Uuid>, Vec<usize>> = HashMap::new();
    for (index, message) in messages.iter().enumerate() {
        if !seen.insert(message.id) {
            return Err(message.id);
        }
        children.entry(message.parent_id).or_default().push(index);
    }
    let mut ready = BinaryHeap::new();
    let mut ordered = Vec::with_capacity(messages.len());
    let mut parent = None;
    loop {
        for index in children.remove(&parent).unwrap_or_default() {
            ready.push(Reverse((messages[index].created_at_ms, index)));
        }
        let Some(Reverse((_, index))) = ready.pop() else {
            break;
        };
        let message = &messages[index];
        ordered.push(message);
        seen.remove(&message.id);
        parent = Some(message.id);
    }
    match messages.iter().find(|message| seen.contains(&message.id)) {
        Some(message) => Err(message.id),
        None => Ok(ordered),
    }
}

#[cfg(test)]
mod tests;
