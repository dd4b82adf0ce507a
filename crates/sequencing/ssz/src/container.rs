//! Containers: structs whose fields are encoded in order, variable ones behind offsets.

use super::SszError;
use std::ops::Range;

/// Defines SSZ containers with their encodings, Merkle roots and Beacon API JSON. Whoever calls it depends on
/// `alloy-primitives` and `serde_json`.
#[macro_export]
macro_rules! container {
    ($(
        $(#[$attribute:meta])*
        pub struct $name:ident { $( $(#[$field_attribute:meta])* pub $field:ident: $type:ty, )+ }
    )+) => { $(
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $( $(#[$field_attribute])* pub $field: $type, )+ }

        impl $crate::Ssz for $name {
            fn fixed_len(preset: &$crate::Preset) -> Option<usize> {
                let mut total = 0;
                $( total += <$type as $crate::Ssz>::fixed_len(preset)?; )+
                Some(total)
            }

            fn write(&self, out: &mut Vec<u8>, preset: &$crate::Preset) {
                let start = out.len();
                let mut places = Vec::new();
                $( match <$type as $crate::Ssz>::fixed_len(preset) {
                    Some(_) => self.$field.write(out, preset),
                    None => {
                        places.push(out.len());
                        out.extend([0; 4]);
                    }
                } )+
                let mut places = places.into_iter();
                $( if <$type as $crate::Ssz>::fixed_len(preset).is_none() {
                    $crate::write_offset(out, places.next(), start);
                    self.$field.write(out, preset);
                } )+
            }

            fn read(
                bytes: &[u8],
                preset: &$crate::Preset,
            ) -> Result<Self, $crate::SszError> {
                let lengths = [ $( <$type as $crate::Ssz>::fixed_len(preset) ),+ ];
                let mut spans = $crate::field_spans(bytes, &lengths)?.into_iter();
                Ok(Self { $( $field: {
                    let span = spans.next().unwrap_or_default();
                    <$type as $crate::Ssz>::read(bytes.get(span).unwrap_or_default(), preset)?
                } ),+ })
            }

            fn root(&self, preset: &$crate::Preset) -> alloy_primitives::B256 {
                let roots = self.field_roots(preset);
                let depth = $crate::depth_for(roots.len() as u64);
                $crate::merkleize(roots, depth)
            }
        }

        impl $name {
            /// The names of the fields, in order.
            pub const FIELDS: &[&str] = &[ $( stringify!($field) ),+ ];

            /// The roots of the fields, in order: the chunks under this container's root.
            pub fn field_roots(
                &self,
                preset: &$crate::Preset,
            ) -> Vec<alloy_primitives::B256> {
                vec![ $( $crate::Ssz::root(&self.$field, preset) ),+ ]
            }
        }

        impl $crate::ApiJson for $name {
            fn to_json(&self) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $( object.insert(
                    stringify!($field).to_owned(),
                    $crate::ApiJson::to_json(&self.$field),
                ); )+
                object.into()
            }

            fn from_json(
                value: &serde_json::Value,
                preset: &$crate::Preset,
            ) -> Result<Self, $crate::JsonError> {
                Ok(Self { $( $field: {
                    let name = stringify!($field);
                    let field = value.get(name).ok_or($crate::JsonError::Missing(name))?;
                    $crate::ApiJson::from_json(field, preset).map_err(|error| error.in_field(name))?
                } ),+ })
            }
        }
    )+ };
}

/// Fills in an offset that was left open, now that its field begins at the end of `out`.
#[doc(hidden)]
pub fn write_offset(out: &mut [u8], place: Option<usize>, start: usize) {
    // Encodings beyond 4 GiB do not occur: payloads are bounded by the Engine API's messages.
    let offset = (out.len() - start) as u32;
    if let Some(place) = place.and_then(|place| out.get_mut(place..place + 4)) {
        place.copy_from_slice(&offset.to_le_bytes());
    }
}

/// Where each field's bytes lie in the encoding of a container, given the length of each (`None`: behind an offset).
///
/// # Errors
/// Bytes that are too few or, where no length varies, too many; offsets out of order.
pub fn field_spans(bytes: &[u8], lengths: &[Option<usize>]) -> Result<Vec<Range<usize>>, SszError> {
    let fixed: usize = lengths.iter().map(|length| length.unwrap_or(4)).sum();
    let all_fixed = lengths.iter().all(Option::is_some);
    if bytes.len() < fixed || (all_fixed && bytes.len() != fixed) {
        return Err(SszError::Length { expected: fixed, found: bytes.len() });
    }
    let mut spans = Vec::with_capacity(lengths.len());
    let mut position = 0;
    let mut open: Option<usize> = None;
    for length in lengths {
        let end = position + length.unwrap_or(4);
        if length.is_some() {
            spans.push(position..end);
        } else {
            let offset = read_offset(bytes, position);
            let from = match open {
                // The first variable field begins right behind the fixed part.
                None if offset == fixed => fixed,
                None => return Err(SszError::Offset { offset, from: fixed, to: fixed }),
                Some(last) => spans.get(last).map_or(fixed, |span: &Range<usize>| span.start),
            };
            if offset < from || offset > bytes.len() {
                return Err(SszError::Offset { offset, from, to: bytes.len() });
            }
            if let Some(span) = open.and_then(|last| spans.get_mut(last)) {
                span.end = offset;
            }
            open = Some(spans.len());
            spans.push(offset..bytes.len());
        }
        position = end;
    }
    Ok(spans)
}

/// Where each element of a list of variable elements lies.
pub(crate) fn element_spans(bytes: &[u8], limit: u64) -> Result<Vec<Range<usize>>, SszError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if bytes.len() < 4 {
        return Err(SszError::Length { expected: 4, found: bytes.len() });
    }
    let first = read_offset(bytes, 0);
    if first == 0 || !first.is_multiple_of(4) || first > bytes.len() {
        return Err(SszError::Offset { offset: first, from: 4, to: bytes.len() });
    }
    let count = first / 4;
    if count as u64 > limit {
        return Err(SszError::Limit { limit, found: count as u64 });
    }
    field_spans(bytes, &vec![None; count])
}

fn read_offset(bytes: &[u8], position: usize) -> usize {
    let offset = bytes.get(position..).and_then(|rest| rest.first_chunk::<4>());
    offset.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}
