// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// How long data would be after FastLZ compression (OP specification: Fjord § FastLZ implementation).
///
/// The table of positions is that of the reference: 8,192 entries of 32 bits, so data is limited to 4 GiB, which no
/// transaction can pay for.
library FastLz {
    /// Entries are read and written as whole words, the last one, too.
    uint256 private constant TABLE_BYTES = 4 * 8192 + 28;
    uint256 private constant MAX_DISTANCE = 8192;
    /// The last bytes are never searched for matches.
    uint256 private constant TAIL = 13;

    function compressedLength(bytes memory data) internal pure returns (uint256 size) {
        bytes memory table = new bytes(TABLE_BYTES);
        uint256 limit = data.length < TAIL ? 0 : data.length - TAIL;
        uint256 position = 2;
        uint256 anchor = 0;
        unchecked {
            while (position < limit) {
                bool found = false;
                uint256 from;
                while (!found && position < limit) {
                    uint256 sequence = _sequence(data, position);
                    from = _replace(table, _slot(sequence), position);
                    found = position - from < MAX_DISTANCE && sequence == _sequence(data, from);
                    position += 1;
                }
                // A match that begins at the very last place is not used.
                if (position >= limit) break;
                position -= 1;
                if (position > anchor) size += _literals(position - anchor);
                uint256 length = _matching(data, from + 3, position + 3, limit + 9);
                size += _match(length);
                position += length;
                for (uint256 end = position + 2; position < end; ++position) {
                    _replace(table, _slot(_sequence(data, position)), position);
                }
                anchor = position;
            }
            return size + _literals(data.length - anchor);
        }
    }

    /// Bytes that are not compressed: groups of 32, each after a byte that says how many there are.
    function _literals(uint256 count) private pure returns (uint256) {
        unchecked {
            return count + (count + 31) / 32;
        }
    }

    /// A match of `length` bytes beyond its first two: pieces of at most 262 bytes, the last of them short or long.
    function _match(uint256 length) private pure returns (uint256) {
        unchecked {
            length -= 1;
            return 3 * (length / 262) + (length % 262 >= 6 ? 3 : 2);
        }
    }

    /// How many bytes from `a` and from `b` on are compared until they differ, or `b` reaches `end`: the one that
    /// differs counts.
    function _matching(bytes memory data, uint256 a, uint256 b, uint256 end) private pure returns (uint256 count) {
        unchecked {
            uint256 most = end - b;
            while (count < most) {
                bool same = data[a + count] == data[b + count];
                count += 1;
                if (!same) break;
            }
        }
    }

    function _slot(uint256 sequence) private pure returns (uint256) {
        unchecked {
            return ((sequence * 2654435769) >> 19) & 0x1fff;
        }
    }

    /// Three bytes of data as a number, the first the lowest. The caller stays below `data.length - 3`.
    function _sequence(bytes memory data, uint256 position) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            let word := mload(add(add(data, 32), position))
            value := or(byte(0, word), or(shl(8, byte(1, word)), shl(16, byte(2, word))))
        }
    }

    /// Puts `value` into an entry of the table and returns what was there.
    function _replace(bytes memory table, uint256 slot, uint256 value) private pure returns (uint256 before) {
        assembly ("memory-safe") {
            let entry := add(add(table, 32), mul(slot, 4))
            let word := mload(entry)
            before := shr(224, word)
            mstore(entry, or(shl(224, value), and(word, shr(32, not(0)))))
        }
    }
}
