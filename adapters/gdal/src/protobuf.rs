//! The outermost shape of protocol buffers: fields with numbers, in bounds.

use ukimet_model::{Error, Result};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A number of variable length.
    Number(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Text, bytes, packed numbers or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message in order. Ends with an error where the bytes are none.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of these bytes.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = take_number(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Number(take_number(&mut self.rest)?),
            1 => Value::Fixed64(self.rest.split_off(..8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(take_number(&mut self.rest)?).ok()?;
                Value::Bytes(self.rest.split_off(..length)?)
            }
            5 => Value::Fixed32(self.rest.split_off(..4)?.try_into().ok()?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(|| Error::data_loss("a protocol buffer is cut or broken")))
    }
}

/// The next number of variable length, at most ten bytes; `None` if there is none.
pub(crate) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_a_cut_one_is_an_error() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'a', b'b', 0x1d, 0, 0, 0x80, 0x3f];
        let fields: Result<Vec<_>> = Fields::of(&message).collect();
        let expected = [(1, Value::Number(150)), (2, Value::Bytes(b"ab")), (3, Value::Fixed32([0, 0, 0x80, 0x3f]))];
        assert_eq!(fields.expect("whole"), expected);
        for end in [1, 2, 4, 6, 9] {
            assert!(Fields::of(&message[..end]).any(|field| field.is_err()), "{end}");
        }
        let endless = [0xff; 20];
        assert_eq!(Fields::of(&endless).count(), 1);
    }
}
