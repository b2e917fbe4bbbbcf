//! `/api/pool`: the memory budget, and what a start would do.

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use mlxm_gateway::pool::plan::{Holder, Rejection, Verdict};
use mlxm_gateway::{AcquireRequest, CacheSize, FixedMemory, Target};

use super::servers::{Wanted, resolve, servers};
use crate::gateway::GatewayState;
use crate::gateway::extract::JsonBody;
use crate::gateway::problem::{ApiProblem, rejection_code};
use crate::wire::pool::{
    MemoryHolder, MemoryPurposes, PlanOutcome, PoolPlan, PoolPlanRequest, PoolStatus,
};

/// The routes of this module.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    vec![("/api/pool", get(status)), ("/api/pool/plan", post(plan))]
}

/// Returns the budget, its use, and the servers.
#[utoipa::path(
    get,
    path = "/api/pool",
    tag = "pool",
    operation_id = "get_pool",
    responses((status = 200, body = PoolStatus))
)]
pub async fn status(State(state): State<GatewayState>) -> Result<Json<PoolStatus>, ApiProblem> {
    pool_status(&state).await.map(Json)
}

/// The pool as a whole.
///
/// # Errors
/// If it has exited.
pub async fn pool_status(state: &GatewayState) -> Result<PoolStatus, ApiProblem> {
    let status = state.pool().servers().await?;
    Ok(PoolStatus {
        budget_bytes: status.budget_bytes,
        used_bytes: status.used_bytes,
        waiting: status.waiting as u64,
        servers: servers(&state.snapshot(), &status.all()),
    })
}

/// Simulates a start: whether it fits, what it needs, and which servers would be evicted. Nothing changes.
#[utoipa::path(
    post,
    path = "/api/pool/plan",
    tag = "pool",
    operation_id = "plan_start",
    request_body = PoolPlanRequest,
    responses((status = 200, body = PoolPlan), (status = 404))
)]
pub async fn plan(
    State(state): State<GatewayState>,
    JsonBody(request): JsonBody<PoolPlanRequest>,
) -> Result<Json<PoolPlan>, ApiProblem> {
    let wanted = Wanted {
        profile: request.profile.as_deref(),
        model: request.model.as_deref(),
        settings: request.settings.as_ref(),
        ttl_seconds: None,
    };
    let resolved = resolve(&state, &wanted)?;
    plan_of(&state, &resolved.target, resolved.request(&state))
        .await
        .map(Json)
}

/// What the pool would do with a request.
///
/// # Errors
/// If the model is not valid, or the pool has exited.
pub async fn plan_of(
    state: &GatewayState,
    target: &Target,
    request: AcquireRequest,
) -> Result<PoolPlan, ApiProblem> {
    let fixed = state.pool().demand(target).await?.fixed;
    let memory = |size: CacheSize| fixed.map(|fixed| purposes(fixed, size));
    let verdict = state.pool().dry_run(request).await?;
    let status = state.pool().servers().await?;
    let running = status
        .servers
        .iter()
        .find(|server| server.record.settings == *target.settings);
    let size = running.map(|server| server.record.size);
    let holder = |holder: &Holder| MemoryHolder {
        id: {
            let mut same = status.servers.iter().filter(|server| {
                server.record.name == holder.name
                    && server.record.size.plan_bytes == holder.plan_bytes
            });
            // Servers of one model can have equal plans.
            same.next()
                .filter(|_| same.next().is_none())
                .map(|server| server.record.id)
        },
        name: holder.name.clone(),
        plan_bytes: holder.plan_bytes,
        running: holder.leases as u64,
    };
    let base = PoolPlan {
        model: target.name.clone(),
        outcome: PlanOutcome::Ready,
        size: size.map(Into::into),
        memory: size.and_then(memory),
        holders: Vec::new(),
        budget_bytes: status.budget_bytes,
        used_bytes: status.used_bytes,
        code: None,
        message: format!("{} is in memory already.", target.name),
        largest_context: None,
    };
    let needs = |bytes: u64| format!("Needs {:.1} GB", bytes as f64 / 1e9);
    Ok(match verdict {
        Verdict::Ready { .. } => base,
        Verdict::Start { size } => PoolPlan {
            outcome: PlanOutcome::Fits,
            size: Some(size.into()),
            memory: memory(size),
            message: format!("{}, which are free.", needs(size.plan_bytes)),
            ..base
        },
        Verdict::Evict { workers, size } => PoolPlan {
            outcome: PlanOutcome::Evicts,
            size: Some(size.into()),
            memory: memory(size),
            holders: workers.iter().map(holder).collect(),
            message: format!("{}. Stops {}.", needs(size.plan_bytes), names(&workers)),
            ..base
        },
        Verdict::Wait { holders } => PoolPlan {
            outcome: PlanOutcome::Waits,
            holders: holders.iter().map(holder).collect(),
            message: format!("Waits for {}.", names(&holders)),
            ..base
        },
        Verdict::Reject(rejection) => PoolPlan {
            outcome: PlanOutcome::Rejected,
            size: None,
            memory: None,
            holders: holders(&rejection).iter().map(holder).collect(),
            code: Some(rejection_code(&rejection).name.to_owned()),
            message: rejection.to_string(),
            largest_context: match rejection {
                Rejection::DoesNotFit {
                    largest_context, ..
                } => Some(largest_context),
                _ => None,
            },
            ..base
        },
    })
}

fn purposes(fixed: FixedMemory, size: CacheSize) -> MemoryPurposes {
    MemoryPurposes {
        weights_bytes: fixed.weights_bytes,
        kv_pool_bytes: fixed.kv_pool_bytes(size.plan_bytes),
        scratch_bytes: fixed.scratch_bytes,
    }
}

fn holders(rejection: &Rejection) -> &[Holder] {
    match rejection {
        Rejection::Pinned { holders, .. } | Rejection::QueueTimeout { holders, .. } => holders,
        _ => &[],
    }
}

fn names(holders: &[Holder]) -> String {
    let names: Vec<String> = holders
        .iter()
        .map(|holder| match holder.leases {
            0 => holder.name.clone(),
            running => format!("{} ({running} running)", holder.name),
        })
        .collect();
    if names.is_empty() {
        "other requests".to_owned()
    } else {
        names.join(", ")
    }
}
