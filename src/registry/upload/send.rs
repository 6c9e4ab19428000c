//! The bytes themselves: in one body, or in pieces; and the end of an upload.

use super::super::answer::Asked;
use super::super::error::Error;
use super::super::location;
use super::super::reply::Reply;
use super::super::request::{Call, Exchange, Payload};
use super::super::session::Session;
use super::super::upload_body::{feed, pipe, send};
use super::{SMALL, Upload};
use crate::blob::Verified;
use crate::digest::Digest;
use bytes::Bytes;
use reqwest::header::{CONNECTION, CONTENT_RANGE, HeaderName, LOCATION};
use reqwest::{Method, Url};
use std::io::{self, Read};
use std::time::Duration;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Answers to a body that was taken.
const TAKEN: [u16; 4] = [202, 201, 204, 200];

impl Upload<'_> {
    /// The content from its first byte, checked while it passes. Small content is read once.
    pub(super) fn content(&mut self) -> Result<Box<dyn Read + Send>, Error> {
        if let Some(bytes) = &self.small {
            return Ok(Box::new(io::Cursor::new(bytes.clone())));
        }
        let source = |source| Error::Source { target: self.target.clone(), source };
        let reader = (self.open)().map_err(source)?;
        let mut reader: Box<dyn Read + Send> = match self.proven {
            true => reader,
            false => Box::new(Verified::new(reader, self.blob.digest, self.blob.size)),
        };
        if self.blob.size > SMALL {
            return Ok(reader);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.blob.size).unwrap_or(0));
        reader.read_to_end(&mut bytes).map_err(source)?;
        let bytes = Bytes::from(bytes);
        self.small = Some(bytes.clone());
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    pub(super) fn here(&self) -> Result<(Url, bool), Error> {
        let session = self.session.as_ref().ok_or(Error::Cancelled)?;
        Ok((session.url.clone(), session.own))
    }

    /// Sends all bytes in one body: with PUT that also ends the upload.
    pub(super) fn whole(&mut self, method: Method) -> Result<(), Error> {
        let (mut url, own) = self.here()?;
        let ends = method == Method::PUT;
        if ends {
            url = location::with_query(&url, &format!("digest={}", self.blob.digest));
        }
        let mut exchange = self.send(&method, &url, own, true)?;
        if matches!(exchange, Exchange::Again) {
            // The token ended just before; the session is as it was, the bytes are read once more. A second refusal is the answer.
            exchange = self.send(&method, &url, own, false)?;
        }
        let reply = self.taken(exchange)?;
        if ends { self.proven(reply) } else { self.go_on(reply) }
    }

    fn send(&mut self, method: &Method, url: &Url, own: bool, renew: bool) -> Result<Exchange, Error> {
        let reader = self.content()?;
        let mut call = self.call(method.clone(), url.clone(), own);
        call.renew = renew;
        match &self.small {
            Some(bytes) => {
                call.body = Payload::Bytes(bytes.clone());
                call.patience = self.core.options.timing.commit;
                self.repository.wait(self.core.exchange(&self.repository.host, &mut call))
            }
            None => self.stream(call, reader),
        }
    }

    /// The caller's thread reads, a network task sends.
    fn stream(&self, mut call: Call, reader: Box<dyn Read + Send>) -> Result<Exchange, Error> {
        let shared = &self.repository.shared;
        let pipe = pipe(self.blob.size);
        call.body = Payload::Stream(Some(pipe.body), self.blob.size);
        let task = shared.spawn(send(self.core.clone(), self.repository.host.clone(), call, pipe.flow.clone()))?;
        if let Err(source) = feed(reader, self.blob.size, &pipe.flow, pipe.input) {
            task.abort();
            return Err(Error::Source { target: self.target.clone(), source });
        }
        shared.wait(task)?.map_err(|_| Error::Cancelled)?
    }

    /// Sends the bytes from `first` on in pieces (distribution specification, "Pushing a blob in chunks").
    pub(super) fn pieces(&mut self, size: u64, mut first: u64) -> Result<(), Error> {
        let mut reader = self.content()?;
        let source = |source| Error::Source { target: self.target.clone(), source };
        io::copy(&mut reader.by_ref().take(first), &mut io::sink()).map_err(source)?;
        let min = self.session.as_ref().map_or(0, |s| s.min_piece);
        let size = size.max(min.min(SMALL * 64));
        self.passed = 0;
        while first < self.blob.size {
            let length = size.min(self.blob.size - first);
            let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
            reader.read_exact(&mut piece).map_err(|source| Error::Source { target: self.target.clone(), source })?;
            let (url, own) = self.here()?;
            let mut call = self.call(Method::PATCH, url, own).header(CONTENT_RANGE, &format!("{first}-{}", first + length - 1));
            call.body = Payload::Bytes(piece.into());
            // A line that breaks after so many bytes shall count them anew.
            if self.breaks > 0 {
                call = call.header(CONNECTION, "close");
            }
            call.patience = self.patience(length);
            let reply = self.admitted(&mut call)?;
            self.go_on(reply)?;
            self.passed = self.passed.saturating_add(1);
            first += length;
        }
        Ok(())
    }

    /// Ends the upload: the registry compares the digest.
    pub(super) fn commit(&self) -> Result<(), Error> {
        let (url, own) = self.here()?;
        let mut call = self.call(Method::PUT, location::with_query(&url, &format!("digest={}", self.blob.digest)), own);
        call.patience = self.core.options.timing.commit;
        let reply = self.admitted(&mut call)?;
        self.proven(reply)
    }

    /// Longest wait for the answer to a body of `length`. On a line that breaks, silence is more likely than a slow registry.
    fn patience(&self, length: u64) -> Duration {
        match self.breaks {
            0 => self.core.options.timing.commit,
            _ => self.core.options.timing.stall.saturating_mul(1 + u32::try_from(length / SMALL).unwrap_or(u32::MAX)),
        }
    }

    /// The reply to a request whose body can be sent again, when it was taken.
    pub(super) fn admitted(&self, call: &mut Call) -> Result<Reply, Error> {
        let mut attempt = 0;
        loop {
            let exchange = self.repository.wait(self.core.exchange(&self.repository.host, call))?;
            match self.taken(exchange) {
                Ok(reply) => return Ok(reply),
                // Turned away at the door: the session is as it was.
                Err(error @ Error::RateLimited { .. }) => {
                    attempt += 1;
                    self.repository.wait(self.core.after(&self.repository.host, error, attempt, self.core.options.timing.tries))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The reply when the body was taken.
    fn taken(&self, exchange: Exchange) -> Result<Reply, Error> {
        let host = &self.repository.host;
        match exchange {
            Exchange::NoLogin(error) => Err(error),
            Exchange::Again => Err(Error::Protocol { target: self.target.clone(), what: "a fresh token was refused".to_owned() }),
            Exchange::Reply(reply) if TAKEN.contains(&reply.response.status().as_u16()) => Ok(*reply),
            Exchange::Reply(reply) => {
                let (status, to) = (reply.response.status().as_u16(), location::authority(&reply.url));
                let error = self.repository.wait(async { Ok(host.refusal(&self.core, *reply, &self.target, Asked::Upload).await) })?;
                let foreign = self.session.as_ref().is_some_and(|s| !s.own);
                Err(match status {
                    401 | 403 if foreign => Error::ForeignLocation { target: self.target.clone(), to, silent: None },
                    _ => error,
                })
            }
        }
    }

    /// Every answer may name a new place to go on at; always the newest counts.
    pub(super) fn go_on(&mut self, reply: Reply) -> Result<(), Error> {
        let named = reply.response.headers().contains_key(LOCATION);
        let session = self.repository.wait(async {
            let session = Session::of(&reply, &self.core, &self.repository.host, &self.target).await;
            reply.drain(&self.core).await;
            if named { session.map(Some) } else { Ok(None) }
        })?;
        if let Some(mut session) = session {
            // Said once, when the upload is opened.
            session.min_piece = session.min_piece.max(self.session.as_ref().map_or(0, |old| old.min_piece));
            self.session = Some(session);
        }
        Ok(())
    }

    fn proven(&self, reply: Reply) -> Result<(), Error> {
        let said: Option<Digest> = reply.header(DOCKER_CONTENT_DIGEST).and_then(|d| d.trim().parse().ok());
        self.repository.wait(async {
            reply.drain(&self.core).await;
            Ok(())
        })?;
        match said {
            Some(found) if found != self.blob.digest => {
                Err(Error::WrongDigest { target: self.target.clone(), expected: self.blob.digest, found: Box::new(found) })
            }
            _ => Ok(()),
        }
    }
}
