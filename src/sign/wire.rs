//! The data types of RFC 4251, section 5, as far as keys, signatures and agents use them.

/// Input ended early, or a length reaches past its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ends in the middle of a field")]
pub struct Truncated;

/// Reads fields one after the other; never copies, never allocates, never reads past the end.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// `byte`.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// `uint32`.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// `string`: a length and that many bytes.
    pub fn string(&mut self) -> Result<&'a [u8], Truncated> {
        let n = self.u32()?;
        self.take(usize::try_from(n).map_err(|_| Truncated)?)
    }

    /// True at the end.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a `string`. Every caller's input is bounded far below 4 GiB.
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a positive number of up to 32 big-endian bytes as `mpint`: no leading zeros, one where the top bit is set.
pub fn put_mpint(out: &mut Vec<u8>, number: &[u8; 32]) {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let digits = number.get(zeros..).unwrap_or(&[]);
    let mut field = Vec::with_capacity(33);
    if digits.first().is_some_and(|b| b & 0x80 != 0) {
        field.push(0);
    }
    field.extend_from_slice(digits);
    put_string(out, &field);
}

/// The value of an `mpint` field of at most 256 bits; `None` for negative or longer ones. Superfluous zeros are the
/// business of whoever compares with the canonical form.
pub fn mpint(field: &[u8]) -> Option<[u8; 32]> {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        return None;
    }
    let zeros = field.iter().take_while(|b| **b == 0).count();
    let digits = field.get(zeros..)?;
    let mut number = [0; 32];
    number.get_mut(32usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(number)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_length_past_the_end_is_refused_before_anything_is_taken() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1, 2]);
        assert_eq!(reader.string(), Err(Truncated));
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), Err(Truncated));
        assert_eq!(Reader::new(&[0, 0, 0, 2, b'a', b'b']).string().unwrap(), b"ab");
    }

    #[test]
    fn numbers_have_one_form() {
        for (last, expected) in [(0x7f, vec![0, 0, 0, 1, 0x7f]), (0x80, vec![0, 0, 0, 2, 0, 0x80])] {
            let mut number = [0; 32];
            number[31] = last;
            let mut out = Vec::new();
            put_mpint(&mut out, &number);
            assert_eq!(out, expected);
            assert_eq!(mpint(Reader::new(&out).string().unwrap()), Some(number));
        }
        assert_eq!(mpint(&[0x80]), None);
        assert_eq!(mpint(&[1; 33]), None);
        assert_eq!(mpint(&[]), Some([0; 32]));
    }
}
