mod failures;
mod fake;
mod heartbeat;
mod mapping;
mod order;
mod residency;
