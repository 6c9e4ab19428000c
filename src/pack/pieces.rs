//! Large blobs that are compressed for real: cut into pieces, compressed by several threads, handed on in order.

use super::plan::PIECE;
use crate::archive::{self, Piece};
use crate::codec::frame::Compressor;
use crate::digest::Digest;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// More workers would only hold more pieces in memory: each holds up to two of them, plain and compressed.
const WORKERS: usize = 4;

type Compressed = Result<Piece, archive::Error>;

/// Cuts `reader` into pieces and gives them, compressed at `level`, to `consume` in order. What comes out does not depend on the
/// number of threads.
pub(super) fn compress<T>(
    digest: Digest,
    reader: &mut (dyn Read + Send),
    level: i32,
    consume: impl FnOnce(&mut dyn Iterator<Item = Compressed>) -> T,
) -> T {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, WORKERS);
    std::thread::scope(|scope| {
        let mut inputs: Vec<SyncSender<io::Result<Vec<u8>>>> = Vec::new();
        let mut outputs: Vec<Receiver<Compressed>> = Vec::new();
        for _ in 0..workers {
            let (send, inbox) = sync_channel::<io::Result<Vec<u8>>>(0);
            let (answer, outbox) = sync_channel(0);
            scope.spawn(move || work(digest, level, &inbox, &answer));
            inputs.push(send);
            outputs.push(outbox);
        }
        scope.spawn(move || {
            // Piece n goes to worker n mod workers; an empty piece ends all of them.
            for input in inputs.iter().cycle() {
                let piece = read_piece(reader);
                let last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
                let ended = matches!(&piece, Ok(bytes) if bytes.is_empty());
                if ended || input.send(piece).is_err() || last {
                    return;
                }
            }
        });
        let mut turn = 0;
        let mut pieces = std::iter::from_fn(|| {
            let piece = outputs.get(turn % workers)?.recv().ok();
            turn += 1;
            piece
        });
        let result = consume(&mut pieces);
        drop(outputs);
        result
    })
}

fn work(digest: Digest, level: i32, inbox: &Receiver<io::Result<Vec<u8>>>, answer: &SyncSender<Compressed>) {
    let mut compressor = Compressor::new(level);
    for plain in inbox {
        let piece = match (&mut compressor, plain) {
            (_, Err(source)) => Err(archive::Error::Source { digest, source }),
            (Err(e), _) => Err(archive::Error::Codec(e.clone())),
            (Ok(compressor), Ok(plain)) => compressor.compress(&plain).map(|frame| Piece { plain, frame }).map_err(archive::Error::Codec),
        };
        if answer.send(piece).is_err() {
            return;
        }
    }
}

/// Reads one piece, shorter only at the end.
fn read_piece(reader: &mut (dyn Read + Send)) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_whole() {
        let bytes: Vec<u8> = (0..(3 * PIECE + 5)).map(|i| (i / 977) as u8).collect();
        let mut sizes = Vec::new();
        let joined = compress(Digest::sha256(b""), &mut bytes.as_slice(), 1, |pieces| {
            let mut joined = Vec::new();
            for piece in pieces {
                let piece = piece.unwrap();
                sizes.push(piece.plain.len());
                assert!(crate::codec::frame::unfold(&piece.frame, PIECE as u64).unwrap() == piece.plain);
                joined.extend(piece.plain);
            }
            joined
        });
        assert!(joined == bytes);
        assert_eq!(sizes, [PIECE, PIECE, PIECE, 5]);
    }

    #[test]
    fn a_reader_that_fails_is_heard_and_nobody_hangs() {
        struct Fails(usize);
        impl Read for Fails {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0 += buf.len();
                if self.0 > 2 * PIECE { Err(io::Error::other("gone")) } else { Ok(buf.len()) }
            }
        }
        let failed = compress(Digest::sha256(b""), &mut Fails(0), 1, |pieces| {
            let mut failed = false;
            for piece in pieces {
                failed |= piece.is_err();
            }
            failed
        });
        assert!(failed);
        // A consumer that stops early lets everybody go.
        compress(Digest::sha256(b""), &mut std::io::repeat(7).take(10 * PIECE as u64), 1, |pieces| drop(pieces.next()));
    }
}
