//! The key a set is signed with. (temporary until merged)
use super::{Context, options, values};
use crate::error::Error;
use crate::sign::Signer;
/// The signer.
pub fn signer(ctx: &Context, signing: &options::Signing) -> Result<Option<Box<dyn Signer>>, Error> {
    let Some(key) = &signing.key else { return Ok(None) };
    let name = match key {
        values::KeyChoice::Stored(n) => n.clone(),
        values::KeyChoice::File(p) => p.display().to_string(),
        values::KeyChoice::Agent(a) => a.clone(),
    };
    let dir = ctx.environment.config()?.join("keys");
    Ok(Some(crate::keystore::open_signer(&dir, &name, ctx.environment.ssh_agent.as_deref(), &mut || {
        Err(std::io::Error::other("no passphrase"))
    })?))
}
