//! What the page lets a browser do: nothing but its own style and its own script.

use sha2::{Digest as _, Sha256};

/// The content security policy of a page with this style and this script. Both are named by their hashes, so that what a
/// log or a check has smuggled in would not run, even if it were not escaped.
pub(super) fn policy(style: &str, script: &str) -> String {
    let (style, script) = (base64(&Sha256::digest(style)), base64(&Sha256::digest(script)));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )
}

/// Bytes in base64, as RFC 4648 has it.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, nth| bits << 8 | u32::from(chunk.get(nth).copied().unwrap_or(0)));
        let digits = (0..=chunk.len()).map(|nth| bits >> (18 - 6 * nth) & 63);
        text.extend(digits.map(|digit| char::from(DIGITS[usize::try_from(digit).unwrap_or(0)])));
        text.extend(std::iter::repeat_n('=', 3 - chunk.len()));
    }
    text
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn only_the_script_itself_may_run() {
        let policy = policy("", "alert()");
        assert!(policy.starts_with(
            "default-src 'none'; style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
        ));
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
