// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Words that the registry takes from people
/// @notice Everybody sees them, in pages, tables and terminals: what cannot be seen, or looks like something else,
/// is refused where it comes in.
library Words {
    uint256 private constant MAX_NAME = 64;
    uint256 private constant MAX_ENDPOINT = 256;

    /// @notice Not a member's name: 1 to 64 bytes of UTF-8, all of them seen, no space at the ends, no two in a row.
    error BadMemberName(string name);
    /// @notice Not a UN/LOCODE: two capital letters, a space, three of A–Z and 2–9.
    error BadPlace(string place);
    /// @notice Not HOST:PORT of 3 to 256 characters without spaces.
    error BadEndpoint(string endpoint);
    /// @notice Neither empty nor http:// or https:// and at most 256 characters without spaces.
    error BadRpc(string rpc);
    /// @notice Not an application's name: 3 to 40 of a–z, 0–9 and hyphen, a letter among them, no hyphen at the ends
    /// or twice in a row, not beginning with 0x, not `hub` or `causeway`.
    error BadApplicationName(string name);

    /// @notice Checks a member's name.
    function checkMemberName(string calldata name) internal pure {
        bytes calldata text = bytes(name);
        uint256 length = text.length;
        if (length == 0 || length > MAX_NAME || text[0] == " " || text[length - 1] == " ") {
            revert BadMemberName(name);
        }
        for (uint256 index = 0; index < length;) {
            (uint256 code, uint256 size) = _character(text, index);
            if (size == 0 || !_isSeen(code) || (code == 0x20 && text[index + 1] == " ")) {
                revert BadMemberName(name);
            }
            index += size;
        }
    }

    /// @notice Two names with the same key are taken for one: capital letters of ASCII count as small ones.
    function key(string memory name) internal pure returns (bytes32) {
        bytes memory text = bytes(name);
        for (uint256 i = 0; i < text.length; ++i) {
            bytes1 letter = text[i];
            if (letter >= "A" && letter <= "Z") text[i] = bytes1(uint8(letter) + 32);
        }
        return keccak256(text);
    }

    /// @notice Checks a UN/LOCODE.
    function checkPlace(string calldata place) internal pure {
        bytes calldata text = bytes(place);
        if (text.length != 6 || text[2] != " ") revert BadPlace(place);
        for (uint256 i = 0; i < 6; ++i) {
            bytes1 letter = text[i];
            bool capital = letter >= "A" && letter <= "Z";
            bool digit = i > 2 && letter >= "2" && letter <= "9";
            if (i != 2 && !capital && !digit) revert BadPlace(place);
        }
    }

    /// @notice Checks HOST:PORT. Whether the host exists only a connection shows.
    function checkEndpoint(string calldata endpoint) internal pure {
        bytes calldata text = bytes(endpoint);
        if (!_isAddress(text, 3)) revert BadEndpoint(endpoint);
        uint256 port = 0;
        uint256 scale = 1;
        uint256 index = text.length;
        while (index > 0 && text[index - 1] != ":") {
            --index;
            bytes1 digit = text[index];
            if (digit < "0" || digit > "9" || scale > 10_000) revert BadEndpoint(endpoint);
            port += scale * (uint8(digit) - 48);
            scale *= 10;
        }
        // At least one character of a host, then the colon.
        if (index < 2 || port == 0 || port > type(uint16).max) revert BadEndpoint(endpoint);
    }

    /// @notice Checks a URL of JSON-RPC, or its absence.
    function checkRpc(string calldata rpc) internal pure {
        bytes calldata text = bytes(rpc);
        if (text.length == 0) return;
        if (!_isAddress(text, 8)) revert BadRpc(rpc);
        bool plain = bytes7(text[:7]) == "http://";
        bool secure = bytes8(text[:8]) == "https://" && text.length > 8;
        if (!plain && !secure) revert BadRpc(rpc);
    }

    /// @notice Checks an application's name, or a fork's.
    function checkApplicationName(string memory name) internal pure {
        bytes memory text = bytes(name);
        uint256 length = text.length;
        if (length < 3 || length > 40) revert BadApplicationName(name);
        bool hasLetter = false;
        for (uint256 i = 0; i < length; ++i) {
            bytes1 letter = text[i];
            bool small = letter >= "a" && letter <= "z";
            bool digit = letter >= "0" && letter <= "9";
            // A hyphen stands between two others.
            bool hyphen = letter == "-" && i > 0 && i + 1 < length && text[i - 1] != "-";
            if (!small && !digit && !hyphen) revert BadApplicationName(name);
            hasLetter = hasLetter || small;
        }
        bytes32 hash = keccak256(text);
        bool misleading =
            (text[0] == "0" && text[1] == "x") || hash == keccak256("hub") || hash == keccak256("causeway");
        if (!hasLetter || misleading) revert BadApplicationName(name);
    }

    /// @dev Whether all characters are seen ones of ASCII, without a space, and as many as an address has.
    function _isAddress(bytes calldata text, uint256 least) private pure returns (bool) {
        if (text.length < least || text.length > MAX_ENDPOINT) return false;
        for (uint256 i = 0; i < text.length; ++i) {
            if (text[i] <= 0x20 || text[i] >= 0x7f) return false;
        }
        return true;
    }

    /// @dev The character at byte `index` of UTF-8 (RFC 3629) and how many bytes it takes; 0 bytes: none stands there.
    function _character(
        bytes calldata text,
        uint256 index
    ) private pure returns (uint256 code, uint256 size) {
        uint256 first = uint8(text[index]);
        if (first < 0x80) return (first, 1);
        uint256 least;
        if (first >= 0xc2 && first < 0xe0) (code, size, least) = (first & 0x1f, 2, 0x80);
        else if (first >= 0xe0 && first < 0xf0) (code, size, least) = (first & 0x0f, 3, 0x800);
        else if (first >= 0xf0 && first < 0xf5) (code, size, least) = (first & 0x07, 4, 0x10000);
        if (size == 0 || index + size > text.length) return (0, 0);
        for (uint256 i = 1; i < size; ++i) {
            uint256 next = uint8(text[index + i]);
            if (next & 0xc0 != 0x80) return (0, 0);
            code = (code << 6) | (next & 0x3f);
        }
        bool surrogate = code >= 0xd800 && code < 0xe000;
        if (code < least || surrogate || code > 0x10ffff) return (0, 0);
    }

    /// @dev Whether people see a character, and see where it is: no control or format, no blank but the space, no
    /// filler, nothing private.
    function _isSeen(uint256 code) private pure returns (bool) {
        if (code < 0x20 || (code >= 0x7f && code <= 0xa0) || code == 0xad) return false;
        if (code == 0x34f || code == 0x61c || code == 0x1680 || code == 0x180e) return false;
        if (code == 0x115f || code == 0x1160 || code == 0x3164 || code == 0xffa0) return false;
        if (code >= 0x2000 && code <= 0x206f) {
            // Dashes, quotes and other marks of General Punctuation are seen.
            return (code >= 0x2010 && code <= 0x2027) || (code >= 0x2030 && code <= 0x205e);
        }
        if (code == 0x3000 || (code >= 0xe000 && code <= 0xf8ff)) return false;
        if ((code >= 0xfe00 && code <= 0xfe0f) || code == 0xfeff) return false;
        return code < 0xfff0 || (code > 0xffff && code < 0xe0000);
    }
}
