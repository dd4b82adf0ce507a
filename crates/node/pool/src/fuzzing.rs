//! What fuzz targets need beside the interface; only there in their builds.

use crate::{
    Origin,
    journal::{MARKER, headers, record, replay},
};

/// Reads bytes as a journal: as they are, if the first one is zero; otherwise a journal of good
/// records and damage that they describe. Of the latter every good record comes back, in order.
pub fn read_journal(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let (file, records) = if *choice == 0 { (bytes.to_vec(), Vec::new()) } else { written(bytes) };
    let mut back = Vec::new();
    let report = replay(&mut &*file, |origin, body| {
        back.push((origin, body.to_vec()));
        true
    })
    .expect("a slice can be read");
    assert_eq!(report.loaded, back.len());
    assert!(report.damaged_bytes + report.torn_bytes <= file.len() as u64);
    let mut rest = back.iter();
    for record in &records {
        assert!(rest.any(|found| found == record), "{record:?} is lost; read: {back:?}");
    }
}

/// A journal with parts that the bytes describe: a kind, a length, and the content of a good record
/// or bytes that are none.
fn written(bytes: &[u8]) -> (Vec<u8>, Vec<(Origin, Vec<u8>)>) {
    let (salt, mut bytes) = bytes.split_first_chunk().unwrap_or((&[0; 16], bytes));
    let mut file = headers(salt);
    let mut records = Vec::new();
    while let Some(([kind, length], after)) = bytes.split_first_chunk() {
        let content = after.get(..usize::from(*length)).unwrap_or(after);
        bytes = after.get(content.len()..).unwrap_or_default();
        match Origin::from_byte(*kind) {
            Some(origin) => {
                file.extend(record(salt, origin, content));
                records.push((origin, content.to_vec()));
            }
            None if *kind < 128 => file.extend_from_slice(content),
            // A record that was cut off; not one that the marker of the next record would complete.
            None => {
                let whole = record(salt, Origin::Local, content);
                let kept = whole.len().min(usize::from(*kind) - 100);
                let (kept, missing) = whole.split_at(kept);
                if !missing.contains(&MARKER[0]) {
                    file.extend_from_slice(kept);
                }
            }
        }
    }
    (file, records)
}
