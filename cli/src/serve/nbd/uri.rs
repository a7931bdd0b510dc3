//! Where a server is, as NBD clients take it.

use std::fmt;

use crate::serve::listen::Address;

/// The part of an NBD URI that names no export.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a>(pub &'a Address);

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Address::Tcp(address) => write!(f, "nbd://{address}"),
            #[cfg(unix)]
            Address::Unix(path) => {
                f.write_str("nbd+unix:///?socket=")?;
                path.as_os_str().as_encoded_bytes().iter().try_for_each(|&byte| match byte {
                    b'/' | b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte)),
                    _ if byte.is_ascii_alphanumeric() => write!(f, "{}", char::from(byte)),
                    _ => write!(f, "%{byte:02X}"),
                })
            }
        }
    }
}
