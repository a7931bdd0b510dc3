//! The blocks in which a state that fails differs from the nearest one that passes.

use std::io;

use logwrites_core::Extent;
use logwrites_core::crash::State;
use logwrites_core::history::{Checkpoints, Discards, ExtentMap};
use logwrites_core::num::narrow;
use serde::{Deserialize, Serialize};

use super::names::Names;
use super::recording::AnyRecording;

/// A block in which a failing state differs from the nearest one that passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where on the disk.
    pub offset_bytes: u64,
    /// What it is to the file system; empty where that is not known.
    pub names: Vec<String>,
    /// What it holds in the state that passes, in hexadecimal in JSON.
    #[serde(with = "hexadecimal")]
    pub passing: Vec<u8>,
    /// What it holds in the state that fails.
    #[serde(with = "hexadecimal")]
    pub failing: Vec<u8>,
}

impl Block {
    /// The first blocks that differ, in the order of the disk.
    ///
    /// # Errors
    /// Those of reading the disk.
    pub(super) fn differing(
        recording: &AnyRecording,
        discards: Discards,
        (failing, passing): (&State, &State),
        names: &Names<'_>,
    ) -> io::Result<Vec<Self>> {
        let index = recording.index();
        let mut checkpoints = Checkpoints::new(discards);
        let mut map_of = |state: &State| checkpoints.map_at(index, state.point, &state.lost);
        let maps = (map_of(failing), map_of(passing));
        let mut blocks = Vec::new();
        let mut end = 0;
        for extent in failing.changed_to(passing, index, discards).runs().map(|run| run.extent) {
            while let Some(extent) = first_block(extent, end, recording) {
                end = extent.end();
                let block = Self::read(recording, extent, (&maps.0, &maps.1), names)?;
                blocks.extend(block.filter(|block| block.failing != block.passing));
                if blocks.len() >= MAX_BLOCKS {
                    return Ok(blocks);
                }
            }
        }
        Ok(blocks)
    }

    /// A block, if it may differ.
    fn read(
        recording: &AnyRecording,
        extent: Extent,
        (failing, passing): (&ExtentMap, &ExtentMap),
        names: &Names<'_>,
    ) -> io::Result<Option<Self>> {
        if failing.pieces(extent).eq(passing.pieces(extent)) {
            return Ok(None);
        }
        let sector_size = recording.sector_size();
        let offset_bytes = sector_size.bytes_of(extent.sector());
        let len_bytes = sector_size.bytes_of(extent.nr_sectors());
        let read = |map| {
            let mut bytes = vec![0; narrow(len_bytes)];
            recording.read(map, extent, &mut bytes).map(|()| bytes)
        };
        let roles = names.at(offset_bytes..offset_bytes + len_bytes);
        Ok(Some(Self {
            offset_bytes,
            names: roles.iter().map(ToString::to_string).collect(),
            passing: read(passing)?,
            failing: read(failing)?,
        }))
    }
}

/// The first block of an extent after a sector.
fn first_block(extent: Extent, after: u64, recording: &AnyRecording) -> Option<Extent> {
    let sector_size = recording.sector_size();
    let block_sectors = (BLOCK_BYTES / sector_size.bytes()).max(1);
    let sector = extent.sector().max(after);
    if sector >= extent.end() {
        return None;
    }
    let first = sector / block_sectors * block_sectors;
    let disk_sectors = sector_size.sectors_for(recording.len_bytes());
    Some(Extent::between(first, (first + block_sectors).min(disk_sectors)))
}

/// Bytes as text of two digits each.
mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::output::hex;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::digits(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Option<Vec<u8>> = bytes.collect();
        bytes.filter(|_| rest.is_empty()).ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
    }
}

/// The size of a block: that of most file systems.
const BLOCK_BYTES: u64 = 4096;

/// How many blocks are kept.
const MAX_BLOCKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_its_text() {
        let block = Block { offset_bytes: 4096, names: vec![], passing: vec![0, 0xa7], failing: vec![1, 2] };
        let text = serde_json::to_string(&block).unwrap();
        assert!(text.contains("\"00a7\""), "{text}");
        assert_eq!(serde_json::from_str::<Block>(&text).unwrap(), block);
        for other in ["00a", "0g", "0é"] {
            assert!(serde_json::from_str::<Block>(&text.replace("00a7", other)).is_err(), "{other}");
        }
    }
}
