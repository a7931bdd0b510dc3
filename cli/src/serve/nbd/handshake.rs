//! The fixed newstyle handshake, as a state machine: what a client sends in pieces of the length that it
//! [wants](Handshake::wanted_bytes), and what is answered.
//!
//! ```text
//! server  NBDMAGIC IHAVEOPT flags
//! client  flags
//! client  IHAVEOPT option len data      ┐ any number of times, until GO or EXPORT_NAME begins
//! server  replies                       ┘ the transmission, or ABORT ends the connection
//! ```

use zerocopy::byteorder::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes as _, IntoBytes};

use super::request::Rules;
use super::violation::{MAX_OPTION_BYTES, MAX_OPTIONS, MAX_REQUEST_BYTES, Violation};
use super::wire::{
    GREETING_MAGIC, Greeting, HandshakeFlags, OPTION_MAGIC, OPTION_REPLY_MAGIC, OptionHeader,
    OptionReplyHeader, TransmissionFlags, info, option, option_reply,
};
use crate::serve::exports::{ExportInfo, Exports, NoExport};

/// The largest unit that the protocol knows, in bytes.
pub const MAX_SECTOR_BYTES: u32 = 64 << 10;

/// A negotiation under way.
#[derive(Debug)]
pub struct Handshake {
    stage: Stage,
    has_no_zeroes: bool,
    is_structured: bool,
    /// The export that base:allocation was chosen for.
    allocation_of: Option<String>,
    nr_options: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Flags,
    Header,
    Data { option: u32, len_bytes: u32 },
}

/// What comes next.
#[derive(Debug)]
pub enum Step<E> {
    /// More from the client.
    Continue,
    /// The transmission.
    Transmit(Session<E>),
    /// Nothing: the client has given up, or asked for what there is not.
    Close,
}

/// What was agreed on.
#[derive(Debug)]
pub struct Session<E> {
    /// The disk.
    pub export: E,
    /// What may be asked of it.
    pub rules: Rules,
}

impl Handshake {
    /// A new negotiation; appends what the server says first.
    #[must_use]
    pub fn new(out: &mut Vec<u8>) -> Self {
        let greeting = Greeting {
            magic: GREETING_MAGIC.into(),
            option_magic: OPTION_MAGIC.into(),
            flags: (HandshakeFlags::FIXED_NEWSTYLE | HandshakeFlags::NO_ZEROES).bits().into(),
        };
        out.extend_from_slice(greeting.as_bytes());
        Self {
            stage: Stage::Flags,
            has_no_zeroes: false,
            is_structured: false,
            allocation_of: None,
            nr_options: 0,
        }
    }

    /// How much [`receive`](Self::receive) takes next, in bytes: at most [`MAX_OPTION_BYTES`], perhaps nothing.
    #[must_use]
    pub fn wanted_bytes(&self) -> usize {
        match self.stage {
            Stage::Flags => size_of::<U32>(),
            Stage::Header => size_of::<OptionHeader>(),
            Stage::Data { len_bytes, .. } => usize::try_from(len_bytes).unwrap_or(MAX_OPTION_BYTES),
        }
    }

    /// Takes as many bytes as it wanted, and appends what is answered.
    ///
    /// # Errors
    /// [`Violation`] of the protocol: the connection cannot continue.
    pub fn receive<E: Exports>(
        &mut self,
        bytes: &[u8],
        exports: &E,
        out: &mut Vec<u8>,
    ) -> Result<Step<E::Export>, Violation> {
        match self.stage {
            Stage::Flags => {
                let flags = U32::read_from_bytes(bytes).map_err(|_| Violation::Short)?.get();
                let known = HandshakeFlags::all().bits();
                let flags = u16::try_from(flags).ok().filter(|flags| flags & !known == 0);
                let flags = HandshakeFlags::from_bits_truncate(flags.ok_or(Violation::ClientFlags)?);
                self.has_no_zeroes = flags.contains(HandshakeFlags::NO_ZEROES);
                self.stage = Stage::Header;
                Ok(Step::Continue)
            }
            Stage::Header => {
                self.receive_header(bytes)?;
                Ok(Step::Continue)
            }
            Stage::Data { option, .. } => {
                self.stage = Stage::Header;
                Ok(self.receive_option(option, bytes, exports, out))
            }
        }
    }

    fn receive_header(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let header = OptionHeader::read_from_bytes(bytes).map_err(|_| Violation::Short)?;
        if header.magic.get() != OPTION_MAGIC {
            return Err(Violation::OptionMagic);
        }
        self.nr_options += 1;
        if self.nr_options > MAX_OPTIONS {
            return Err(Violation::TooManyOptions);
        }
        let len_bytes = header.len_bytes.get();
        if usize::try_from(len_bytes).is_ok_and(|len| len > MAX_OPTION_BYTES) {
            return Err(Violation::OptionTooLong { len_bytes });
        }
        self.stage = Stage::Data { option: header.option.get(), len_bytes };
        Ok(())
    }

    fn receive_option<E: Exports>(
        &mut self,
        option: u32,
        data: &[u8],
        exports: &E,
        out: &mut Vec<u8>,
    ) -> Step<E::Export> {
        match option {
            option::EXPORT_NAME => return self.export_name(data, exports, out),
            option::ABORT => {
                push_reply(out, option, option_reply::ACK, &[]);
                return Step::Close;
            }
            option::GO | option::INFO => {
                if let Some(session) = self.go(option, data, exports, out) {
                    return Step::Transmit(session);
                }
            }
            option::LIST if data.is_empty() => {
                for name in exports.names() {
                    let len = U32::new(u32::try_from(name.len()).expect("names are short"));
                    push_reply(out, option, option_reply::SERVER, &[len.as_bytes(), name.as_bytes()]);
                }
                push_reply(out, option, option_reply::ACK, &[]);
            }
            option::STRUCTURED_REPLY if data.is_empty() => {
                self.is_structured = true;
                push_reply(out, option, option_reply::ACK, &[]);
            }
            option::LIST | option::STRUCTURED_REPLY => push_invalid(out, option, "this option has no data"),
            option::LIST_META_CONTEXT | option::SET_META_CONTEXT => self.contexts(option, data, exports, out),
            _ => push_reply(out, option, option_reply::ERR_UNSUP, &[]),
        }
        Step::Continue
    }

    /// The old way: no reply can say that there is no such export.
    fn export_name<E: Exports>(&self, data: &[u8], exports: &E, out: &mut Vec<u8>) -> Step<E::Export> {
        let Some((export, info)) = str::from_utf8(data).ok().and_then(|name| exports.open(name).ok()) else {
            return Step::Close;
        };
        out.extend_from_slice(U64::new(info.len_bytes).as_bytes());
        out.extend_from_slice(U16::new(transmission_flags(&info).bits()).as_bytes());
        if !self.has_no_zeroes {
            out.resize(out.len() + OLD_ZEROES, 0);
        }
        Step::Transmit(Session { export, rules: self.rules(&info) })
    }

    /// INFO, and GO if that was asked for.
    fn go<E: Exports>(
        &self,
        option: u32,
        data: &[u8],
        exports: &E,
        out: &mut Vec<u8>,
    ) -> Option<Session<E::Export>> {
        let mut fields = Fields(data);
        let Some((name, wanted)) = fields.name().zip(fields.list_of_u16()).filter(|_| fields.0.is_empty())
        else {
            push_invalid(out, option, "the option is malformed");
            return None;
        };
        let info = match exports.describe(name) {
            Ok(info) => info,
            Err(error) => return push_unknown(out, option, &error),
        };
        let knows_block_size = wanted.contains(&info::BLOCK_SIZE);
        if option == option::GO && !knows_block_size && info.sector_size.bytes_u32() > UNASKED_SECTOR_BYTES {
            let words = format!("requests must be multiples of {} bytes", info.sector_size);
            push_reply(out, option, option_reply::ERR_BLOCK_SIZE_REQD, &[words.as_bytes()]);
            return None;
        }
        let session = if option == option::GO {
            match exports.open(name) {
                Ok((export, info)) => Some(Session { export, rules: self.rules(&info) }),
                Err(error) => return push_unknown(out, option, &error),
            }
        } else {
            None
        };
        push_info(out, option, &info, &wanted);
        push_reply(out, option, option_reply::ACK, &[]);
        session
    }

    fn contexts<E: Exports>(&mut self, option: u32, data: &[u8], exports: &E, out: &mut Vec<u8>) {
        let mut fields = Fields(data);
        let parsed = fields.name().zip(fields.list_of_texts()).filter(|_| fields.0.is_empty());
        let Some((name, queries)) = parsed else {
            return push_invalid(out, option, "the option is malformed");
        };
        if !self.is_structured {
            return push_invalid(out, option, "structured replies come first");
        }
        let info = match exports.describe(name) {
            Ok(info) => info,
            Err(NoExport(words)) => {
                return push_reply(out, option, option_reply::ERR_UNKNOWN, &[words.as_bytes()]);
            }
        };
        let is_set = option == option::SET_META_CONTEXT;
        let is_all = !is_set && (queries.is_empty() || queries.contains(&ALL_OF_BASE));
        let has_allocation = is_all || queries.contains(&ALLOCATION);
        if is_set {
            self.allocation_of = has_allocation.then_some(info.name);
        }
        if has_allocation {
            let id = U32::new(if is_set { ALLOCATION_ID } else { 0 });
            push_reply(out, option, option_reply::META_CONTEXT, &[id.as_bytes(), ALLOCATION]);
        }
        push_reply(out, option, option_reply::ACK, &[]);
    }

    fn rules(&self, info: &ExportInfo) -> Rules {
        Rules {
            len_bytes: info.len_bytes,
            sector_size: info.sector_size,
            is_read_only: info.is_read_only,
            has_fast_zero: info.has_fast_zero,
            is_structured: self.is_structured,
            has_allocation: self.allocation_of.as_ref() == Some(&info.name),
        }
    }
}

/// The id of base:allocation in replies.
pub(super) const ALLOCATION_ID: u32 = 1;

const fn transmission_flags(info: &ExportInfo) -> TransmissionFlags {
    let mut flags = TransmissionFlags::HAS_FLAGS
        .union(TransmissionFlags::SEND_FLUSH)
        .union(TransmissionFlags::SEND_FUA)
        .union(TransmissionFlags::SEND_DF)
        .union(TransmissionFlags::CAN_MULTI_CONN)
        .union(TransmissionFlags::SEND_CACHE);
    flags = flags.union(if info.is_read_only {
        TransmissionFlags::READ_ONLY
    } else {
        TransmissionFlags::SEND_TRIM
            .union(TransmissionFlags::SEND_WRITE_ZEROES)
            .union(TransmissionFlags::SEND_FAST_ZERO)
    });
    flags
}

fn push_info(out: &mut Vec<u8>, option: u32, info: &ExportInfo, wanted: &[u16]) {
    let mut push = |kind: u16, parts: &[&[u8]]| {
        let kind = U16::new(kind);
        let data = [&[kind.as_bytes()], parts].concat();
        push_reply(out, option, option_reply::INFO, &data);
    };
    let flags = U16::new(transmission_flags(info).bits());
    push(info::EXPORT, &[U64::new(info.len_bytes).as_bytes(), flags.as_bytes()]);
    if wanted.contains(&info::NAME) {
        push(info::NAME, &[info.name.as_bytes()]);
    }
    if wanted.contains(&info::DESCRIPTION) {
        push(info::DESCRIPTION, &[info.description.as_bytes()]);
    }
    if wanted.contains(&info::BLOCK_SIZE) {
        let min = info.sector_size.bytes_u32();
        let [min, preferred, max] = [min, min.max(PREFERRED_BYTES), MAX_REQUEST_BYTES].map(U32::new);
        push(info::BLOCK_SIZE, &[min.as_bytes(), preferred.as_bytes(), max.as_bytes()]);
    }
}

fn push_reply(out: &mut Vec<u8>, option: u32, kind: u32, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let header = OptionReplyHeader {
        magic: OPTION_REPLY_MAGIC.into(),
        option: option.into(),
        kind: kind.into(),
        len_bytes: u32::try_from(len).expect("options are answered in a few bytes").into(),
    };
    out.extend_from_slice(header.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn push_unknown<E>(out: &mut Vec<u8>, option: u32, error: &NoExport) -> Option<E> {
    push_reply(out, option, option_reply::ERR_UNKNOWN, &[error.0.as_bytes()]);
    None
}

fn push_invalid(out: &mut Vec<u8>, option: u32, words: &str) {
    push_reply(out, option, option_reply::ERR_INVALID, &[words.as_bytes()]);
}

/// The data of an option, field by field; `None` if it ends too early.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = U32::read_from_prefix(self.0).ok()?;
        self.0 = rest;
        Some(number.get())
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }

    fn name(&mut self) -> Option<&'a str> {
        str::from_utf8(self.text()?).ok()
    }

    fn list_of_u16(&mut self) -> Option<Vec<u16>> {
        let (count, rest) = U16::read_from_prefix(self.0).ok()?;
        let (list, rest) = <[U16]>::ref_from_prefix_with_elems(rest, count.get().into()).ok()?;
        self.0 = rest;
        Some(list.iter().map(|number| number.get()).collect())
    }

    fn list_of_texts(&mut self) -> Option<Vec<&'a [u8]>> {
        // Each has a length, so that what is there bounds their number.
        let count = self.u32()?;
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.text()?);
        }
        Some(texts)
    }
}

/// The largest unit that a client may be trusted to know of unasked: what most take for the smallest block.
const UNASKED_SECTOR_BYTES: u32 = 512;

const PREFERRED_BYTES: u32 = 4096;

/// How many zeros follow the reply to the old way, unless both sides omit them.
const OLD_ZEROES: usize = 124;

const ALLOCATION: &[u8] = b"base:allocation";
const ALL_OF_BASE: &[u8] = b"base:";

#[cfg(test)]
mod tests {
    use super::*;
    use logwrites_core::SectorSize;
    use proptest::prelude::*;

    struct One;

    impl Exports for One {
        type Export = u8;

        fn names(&self) -> Vec<String> {
            vec!["disk".to_owned(), "other".to_owned()]
        }

        fn describe(&self, name: &str) -> Result<ExportInfo, NoExport> {
            self.open(name).map(|(_, info)| info)
        }

        fn open(&self, name: &str) -> Result<(u8, ExportInfo), NoExport> {
            let info = ExportInfo {
                name: "disk".to_owned(),
                description: "a disk".to_owned(),
                len_bytes: 1 << 20,
                sector_size: SectorSize::new(if name == "large" { 4096 } else { 512 }).unwrap(),
                is_read_only: false,
                has_fast_zero: true,
            };
            match name {
                "" | "disk" | "large" => Ok((7, info)),
                _ => Err(NoExport("no such disk".to_owned())),
            }
        }
    }

    /// Feeds all of a client's bytes, in pieces as they are wanted, and returns the answer after the greeting.
    fn talk(client: &[u8]) -> (Vec<u8>, Result<Step<u8>, Violation>) {
        let mut out = Vec::new();
        let mut handshake = Handshake::new(&mut out);
        assert_eq!(out.len(), 18);
        out.clear();
        let mut rest = client;
        while let Some((now, later)) = rest.split_at_checked(handshake.wanted_bytes()) {
            rest = later;
            match handshake.receive(now, &One, &mut out) {
                Ok(Step::Continue) => {}
                end => return (out, end),
            }
            if rest.is_empty() && handshake.wanted_bytes() > 0 {
                break;
            }
        }
        (out, Ok(Step::Continue))
    }

    fn options(list: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 3];
        for (option, data) in list {
            bytes.extend(U64::new(OPTION_MAGIC).as_bytes());
            bytes.extend(U32::new(*option).as_bytes());
            bytes.extend(U32::new(u32::try_from(data.len()).unwrap()).as_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    fn text(text: &str) -> Vec<u8> {
        [U32::new(u32::try_from(text.len()).unwrap()).as_bytes(), text.as_bytes()].concat()
    }

    /// The kinds of the replies.
    fn kinds(mut out: &[u8]) -> Vec<u32> {
        let mut kinds = Vec::new();
        while let Ok((header, rest)) = OptionReplyHeader::read_from_prefix(out) {
            assert_eq!(header.magic.get(), OPTION_REPLY_MAGIC);
            kinds.push(header.kind.get());
            out = &rest[usize::try_from(header.len_bytes.get()).unwrap()..];
        }
        assert!(out.is_empty());
        kinds
    }

    #[test]
    fn go_gives_what_was_asked_for() {
        let go = [text("disk"), vec![0, 2, 0, 3, 0, 2]].concat();
        let contexts = [text("disk"), vec![0, 0, 0, 1], text("base:allocation")].concat();
        let (out, step) = talk(&options(&[(8, b""), (10, &contexts), (7, &go)]));
        assert_eq!(kinds(&out), [1, 4, 1, 3, 3, 3, 1]);
        let Ok(Step::Transmit(session)) = step else { panic!("{step:?}") };
        assert_eq!(session.export, 7);
        assert!(session.rules.is_structured && session.rules.has_allocation);
        let block_sizes = [0, 3, 0, 0, 2, 0, 0, 0, 16, 0, 2, 0, 0, 0];
        assert!(out.windows(14).any(|window| window == block_sizes), "{out:?}");
    }

    #[test]
    fn what_does_not_exist_is_refused_and_the_negotiation_continues() {
        let unknown = [text("nothing"), vec![0, 0]].concat();
        let large = [text("large"), vec![0, 0]].concat();
        let contexts = [text("disk"), vec![0, 0, 0, 1], text("base:allocation")].concat();
        let list: [(u32, &[u8]); 9] = [
            (5, b""),
            (7, &unknown),
            (7, &large),
            (7, b"\xff"),
            (6, &[0xff; 40]),
            (10, &contexts),
            (3, b"x"),
            (3, b""),
            (99, b""),
        ];
        let (out, step) = talk(&options(&list));
        assert!(matches!(step, Ok(Step::Continue)), "{step:?}");
        let bad = |number: u32| (1 << 31) + number;
        assert_eq!(kinds(&out), [bad(1), bad(6), bad(8), bad(3), bad(3), bad(3), bad(3), 2, 2, 1, bad(1)]);
    }

    #[test]
    fn the_old_reply_ends_with_zeros_unless_they_are_waived() {
        let mut client = options(&[(1, b"disk")]);
        let (out, step) = talk(&client);
        assert!(matches!(step, Ok(Step::Transmit(_))));
        assert_eq!(out.len(), 10);
        client[3] = 1;
        assert_eq!(talk(&client).0.len(), 10 + 124);
        assert!(matches!(talk(&options(&[(1, b"nothing")])).1, Ok(Step::Close)));
        assert!(matches!(talk(&options(&[(2, b"")])).1, Ok(Step::Close)));
    }

    #[test]
    fn violations_end_it() {
        assert!(matches!(talk(&[0, 0, 0, 4]).1, Err(Violation::ClientFlags)));
        assert!(matches!(talk(&[0; 20]).1, Err(Violation::OptionMagic)));
        let mut long = options(&[(3, b"")]);
        long[16..20].copy_from_slice(&[0, 2, 0, 0]);
        assert!(matches!(talk(&long).1, Err(Violation::OptionTooLong { len_bytes: 0x20000 })));
        let list = vec![(3u32, &b""[..]); 1001];
        assert!(matches!(talk(&options(&list)).1, Err(Violation::TooManyOptions)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_refused(
            raw in proptest::collection::vec(any::<u8>(), 0..300),
            list in proptest::collection::vec((0u32..12, proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        ) {
            let _ = talk(&raw);
            let list: Vec<(u32, &[u8])> = list.iter().map(|(option, data)| (*option, &data[..])).collect();
            let _ = talk(&[options(&list), raw].concat());
        }
    }
}
