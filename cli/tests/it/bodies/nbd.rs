//! Arbitrary bytes as what an NBD client sends.

use logwrites::serve::exports::{ExportInfo, Exports, NoExport};
use logwrites::serve::nbd::wire::REQUEST_LEN;
use logwrites::serve::nbd::{Action, Handshake, MAX_OPTION_BYTES, MAX_REQUEST_BYTES, Request, Rules, Step};
use logwrites_core::{Extent, SectorSize};

/// Takes `bytes` as a handshake, and what follows, or all of them if the first byte is odd, as requests. What the
/// handshake wants, and answers to one option, is bounded; what is to be done lies inside the disk.
pub(crate) fn nbd(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let sector_size = SectorSize::new(512 << ((choice >> 1) % 8)).expect("a power of two");
    let disk = Disk { sector_size, is_read_only: *choice >= 128 };
    if choice % 2 == 1 {
        let info = disk.info();
        let rules = Rules {
            len_bytes: info.len_bytes,
            sector_size,
            is_read_only: info.is_read_only,
            has_fast_zero: false,
            is_structured: true,
            has_allocation: true,
        };
        return take_requests(&rules, bytes);
    }
    let mut out = Vec::new();
    let mut handshake = Handshake::new(&mut out);
    let mut rest = bytes;
    loop {
        out.clear();
        let wanted = handshake.wanted_bytes();
        assert!(wanted <= MAX_OPTION_BYTES, "{wanted} bytes are wanted");
        let Some((now, behind)) = rest.split_at_checked(wanted) else { return };
        rest = behind;
        let step = handshake.receive(now, &disk, &mut out);
        assert!(out.len() <= MAX_ANSWER, "{} bytes are answered", out.len());
        match step {
            Ok(Step::Continue) => {}
            Ok(Step::Transmit(session)) => return take_requests(&session.rules, rest),
            Ok(Step::Close) => return,
            Err(violation) => return drop(violation.to_string()),
        }
    }
}

fn take_requests(rules: &Rules, mut bytes: &[u8]) {
    while let Some((head, rest)) = bytes.split_first_chunk::<REQUEST_LEN>() {
        let request = match Request::parse(head) {
            Ok(request) => request,
            Err(violation) => return drop(violation.to_string()),
        };
        assert!(request.payload_bytes() <= MAX_REQUEST_BYTES);
        let extent = match rules.judge(&request) {
            Ok(Action::Read(extent) | Action::Cache(extent) | Action::BlockStatus { extent, .. }) => extent,
            Ok(Action::DiscardThenFlush(extent)) => changed(rules, extent),
            Ok(Action::Submit(op)) => op.extent().map_or(Extent::EMPTY, |extent| changed(rules, extent)),
            Ok(Action::Disconnect) => return,
            Err(_) => Extent::EMPTY,
        };
        let end_bytes = rules.sector_size.checked_bytes_of(extent.end());
        assert!(end_bytes.is_some_and(|end| end <= rules.len_bytes), "{request} reaches beyond the disk");
        drop(request.to_string());
        let payload_len = usize::try_from(request.payload_bytes()).expect("32 bits");
        bytes = rest.get(payload_len..).unwrap_or_default();
    }
}

fn changed(rules: &Rules, extent: Extent) -> Extent {
    assert!(!rules.is_read_only, "a disk that cannot be changed is changed");
    extent
}

struct Disk {
    sector_size: SectorSize,
    is_read_only: bool,
}

impl Disk {
    fn info(&self) -> ExportInfo {
        ExportInfo {
            name: "disk".to_owned(),
            description: "a disk".to_owned(),
            len_bytes: 1 << 30,
            sector_size: self.sector_size,
            is_read_only: self.is_read_only,
            has_fast_zero: true,
        }
    }
}

impl Exports for Disk {
    type Export = ();

    fn names(&self) -> Vec<String> {
        vec!["disk".to_owned()]
    }

    fn describe(&self, name: &str) -> Result<ExportInfo, NoExport> {
        self.open(name).map(|((), info)| info)
    }

    fn open(&self, name: &str) -> Result<((), ExportInfo), NoExport> {
        match name {
            "" | "disk" => Ok(((), self.info())),
            _ => Err(NoExport("there is only 'disk'".to_owned())),
        }
    }
}

/// A handful of replies.
const MAX_ANSWER: usize = 1024;
