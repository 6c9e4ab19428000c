//! A client of ssh-agent (draft-ietf-sshm-ssh-agent): list keys, sign. Nothing else is ever asked of it.

use super::error::KeystoreError;
use crate::fault;
use crate::limits;
use crate::sign::wire::{Reader, Truncated, put_string};
use crate::sign::{Fingerprint, PublicKey, SignError, Signer};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Time for an answer that needs nobody.
const LIST_TIME: Duration = Duration::from_secs(10);
/// Time for an answer that may wait for a touch, a PIN or a confirmation.
const SIGN_TIME: Duration = Duration::from_secs(120);

/// An ssh-agent at a socket. Every question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

/// A key an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    /// Its public half.
    pub key: PublicKey,
    /// What the agent calls it.
    pub comment: String,
}

impl Agent {
    /// The agent listening at `socket` (what `SSH_AUTH_SOCK` says). Nothing is connected yet.
    pub fn new(socket: &Path) -> Agent {
        Agent { socket: socket.to_owned() }
    }

    /// The keys it holds; kinds that cannot sign for us (RSA, certificates ...) are left out.
    pub fn keys(&self) -> Result<Vec<AgentKey>, KeystoreError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], LIST_TIME)?;
        let Some((&IDENTITIES_ANSWER, body)) = answer.split_first() else {
            return Err(self.bad("it does not list its keys"));
        };
        self.read_keys(body).map_err(|_| self.bad("its list of keys is damaged"))
    }

    fn read_keys(&self, body: &[u8]) -> Result<Vec<AgentKey>, Truncated> {
        let mut reader = Reader::new(body);
        let mut keys = Vec::new();
        // The count is the agent's word; the loop ends with the answer's bytes anyway.
        for _ in 0..reader.u32()? {
            let (blob, comment) = (reader.string()?, reader.string()?);
            if let Ok(key) = PublicKey::from_blob(blob) {
                keys.push(AgentKey { key, comment: String::from_utf8_lossy(comment).into_owned() });
            }
        }
        Ok(keys)
    }

    /// A signer for a key it holds.
    pub fn signer(&self, key: &PublicKey) -> Result<AgentSigner, KeystoreError> {
        self.signer_by_fingerprint(&key.fingerprint())
    }

    /// A signer for the key with this fingerprint.
    pub fn signer_by_fingerprint(&self, fingerprint: &Fingerprint) -> Result<AgentSigner, KeystoreError> {
        let found = self.keys()?.into_iter().find(|held| held.key.fingerprint() == *fingerprint);
        let held = found.ok_or_else(|| KeystoreError::NotInAgent { socket: self.socket.clone(), key: *fingerprint })?;
        Ok(AgentSigner { agent: self.clone(), key: held.key })
    }

    fn sign(&self, key: &PublicKey, data: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, &key.to_blob());
        put_string(&mut request, data);
        request.extend_from_slice(&0u32.to_be_bytes());
        let answer = self.ask(&request, SIGN_TIME)?;
        match answer.split_first() {
            Some((&SIGN_RESPONSE, body)) => {
                let mut reader = Reader::new(body);
                let signature = reader.string().ok().filter(|_| reader.is_empty());
                Ok(signature.ok_or_else(|| self.bad("its signature is damaged"))?.to_vec())
            }
            Some((&FAILURE, _)) => Err(KeystoreError::AgentRefused { socket: self.socket.clone(), key: key.fingerprint() }),
            _ => Err(self.bad("it answered with something else than a signature")),
        }
    }

    fn bad(&self, why: &'static str) -> KeystoreError {
        KeystoreError::AgentAnswer { socket: self.socket.clone(), why }
    }

    /// One question, one answer of at most [`limits::AGENT_BYTES`], both within `time`.
    fn ask(&self, request: &[u8], time: Duration) -> Result<Vec<u8>, KeystoreError> {
        self.exchange(request, time).map_err(|source| KeystoreError::Agent { socket: self.socket.clone(), source })
    }

    fn exchange(&self, request: &[u8], time: Duration) -> io::Result<Vec<u8>> {
        fault::at("agent", &self.socket)?;
        let until = Instant::now() + time;
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(time))?;
        let mut message = Vec::with_capacity(request.len() + 4);
        put_string(&mut message, request);
        stream.write_all(&message)?;
        let mut length = [0; 4];
        read_until(&mut stream, &mut length, until)?;
        let length = u32::from_be_bytes(length);
        if length == 0 || length > limits::AGENT_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it announces an answer of {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        read_until(&mut stream, &mut answer, until)?;
        Ok(answer)
    }
}

/// Fills `buffer`, or fails once `until` has passed, however slowly the bytes trickle in.
fn read_until(stream: &mut UnixStream, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut rest = buffer;
    while !rest.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(rest) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up")),
            Ok(n) => rest = rest.get_mut(n..).unwrap_or_default(),
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Signs with a key that an agent holds; tokens (`sk-`) as well.
#[derive(Clone, Debug)]
pub struct AgentSigner {
    agent: Agent,
    key: PublicKey,
}

impl Signer for AgentSigner {
    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        self.agent.sign(&self.key, data).map_err(|e| SignError::Holder { key: self.key.fingerprint(), source: Box::new(e) })
    }
}
