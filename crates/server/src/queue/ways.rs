//! The hosts of a destination, as its policy and the operator's routes want them: what a worker begins with.
//!
//! Where a route leads is [`crate::route`]'s affair, which addresses that has is [`crate::resolve`]'s, what a domain asks of TLS over HTTPS is
//! [`crate::mta_sts`]'s; here they come together.

use super::Outbound;
use crate::deliver::secure::{Level, Security};
use crate::resolve::{self, Target};
use crate::route::{Hop, Place, Route};
use crate::tls_reports::session;
use smtp::{Domain, Host, Reply};
use std::sync::Arc;

/// The hosts of a destination.
pub(super) struct Ways {
    /// As its policy wants them.
    pub(super) targets: Vec<Target>,
    /// As they were without one: for mail that is to be sent whatever becomes of TLS. None where there is no policy.
    pub(super) careless: Vec<Target>,
    /// Why the policy leaves no host, or fewer.
    pub(super) refusal: Option<Reply>,
}

impl Ways {
    pub(super) fn all(&self) -> &[Target] {
        if self.targets.is_empty() { &self.careless } else { &self.targets }
    }
}

/// Where mail for this destination may go; `None` when it is to be thrown away. The error is for all of it.
pub(super) async fn find(outbound: &Outbound, host: &Host) -> Result<Option<Ways>, Reply> {
    let mut ways = match outbound.routes.of(host) {
        Route::Mx => by_mx(outbound, host).await?,
        Route::Hops(hops) => by_hops(outbound, &hops).await?,
        Route::Discard => return Ok(None),
    };
    let origin = outbound.routes.origin(host);
    for target in ways.targets.iter_mut().chain(&mut ways.careless) {
        target.origin = Arc::clone(&origin);
    }
    Ok(Some(ways))
}

/// The hosts that DNS names, as the destination's policy wants them.
async fn by_mx(outbound: &Outbound, host: &Host) -> Result<Ways, Reply> {
    let found = resolve::targets(&*outbound.dns, host, &outbound.terms).await?;
    let applied = match host {
        Host::Domain(domain) => {
            let applied = wanted(outbound, domain, found.clone()).await;
            let mut left_out = found.clone();
            left_out.retain(|one| !applied.iter().flatten().any(|target| target.address == one.address));
            session::left_out(outbound, domain, &left_out);
            applied
        }
        Host::Literal(_) => Ok(found.clone()),
    };
    let (targets, refusal) = match applied {
        Ok(targets) => (targets, None),
        Err(reply) => (Vec::new(), Some(reply)),
    };
    let has_policy =
        targets.len() < found.len() || targets.iter().any(|target| !target.security.allows_clear());
    let without = |target| Target { security: Security::default(), ..target };
    let careless = if has_policy { found.into_iter().map(without).collect() } else { Vec::new() };
    Ok(Ways { targets, careless, refusal })
}

/// The hosts that a route names, those of another domain as its policy wants them.
async fn by_hops(outbound: &Outbound, hops: &[Arc<Hop>]) -> Result<Ways, Reply> {
    let found = resolve::hops(&*outbound.dns, hops, &outbound.terms).await?;
    let (mut targets, mut refusal) = (Vec::new(), None);
    for of_one in found.chunk_by(|one, other| hop_of(one) == hop_of(other)) {
        match policy_domain(&of_one[0]) {
            None => targets.extend_from_slice(of_one),
            Some(domain) => match wanted(outbound, domain, of_one.to_vec()).await {
                Ok(left) => targets.extend(left),
                Err(reply) => refusal = Some(reply),
            },
        }
    }
    // What the operator asks for counts all the same.
    let without = |target: Target| {
        let security = target.hop.as_ref().map_or(Security::default(), |hop| hop.security.clone());
        Target { security, ..target }
    };
    let plain: Vec<Target> = found.into_iter().map(without).collect();
    let careless = if plain == targets { Vec::new() } else { plain };
    Ok(Ways { targets, careless, refusal })
}

fn hop_of(target: &Target) -> Option<*const Hop> {
    target.hop.as_ref().map(Arc::as_ptr)
}

/// The domain whose policy counts for a host that a route names: one whose hosts are found by MX, unless the operator wants no TLS there.
fn policy_domain(target: &Target) -> Option<&Domain> {
    match target.hop.as_deref() {
        Some(Hop { place: Place::Exchanges { domain, .. }, security, .. })
            if security.level != Level::Clear =>
        {
            Some(domain)
        }
        _ => None,
    }
}

/// The hosts of a domain as its MTA-STS policy wants them.
async fn wanted(outbound: &Outbound, domain: &Domain, found: Vec<Target>) -> Result<Vec<Target>, Reply> {
    match &outbound.policies {
        Some(policies) => policies.apply(domain, found).await,
        None => Ok(found),
    }
}
