// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Where an application stands in the lists of its cities
/// @notice An application keeps a word of 32 bits for each of its cities: the city's number, and the place that the
/// application has in that city's list, so that it leaves a long list without a search. Eight of them fill a slot, as
/// eight bare numbers would.
/// @dev A word is place mod 2²⁰ ‖ number − 1, since numbers end at 4,096. A list has fewer than 2²¹ entries, as an
/// application is in it once: two places are meant, of which one holds the application.
library Places {
    uint256 private constant CITY_BITS = 12;
    uint256 private constant PLACE_BITS = 20;

    /// @notice The word for a city, in whose list the application is at `place`.
    function pack(uint32 city, uint256 place) internal pure returns (uint32) {
        return (uint32(place) << uint32(CITY_BITS)) | (city - 1);
    }

    /// @notice The city of a word.
    function cityOf(uint32 word) internal pure returns (uint32) {
        return (word & uint32((1 << CITY_BITS) - 1)) + 1;
    }

    /// @notice The place of application `n` in the list of a word's city, where it is.
    function placeOf(uint32 word, uint64 n, uint64[] storage list) internal view returns (uint256 place) {
        place = word >> CITY_BITS;
        if (list[place] != n) place += 1 << PLACE_BITS;
    }

    /// @notice The cities of words, in their order.
    function citiesOf(uint32[] memory words) internal pure returns (uint32[] memory cities) {
        cities = new uint32[](words.length);
        for (uint256 i = 0; i < words.length; ++i) cities[i] = cityOf(words[i]);
    }

    /// @notice Which of the words is the city's: its index, or how many there are if none is.
    function find(uint32[] memory words, uint32 city) internal pure returns (uint256 index) {
        while (index < words.length && cityOf(words[index]) != city) ++index;
    }

    /// @notice Takes a city's word out of `words`, where the last one takes its place.
    /// @return found whether there was one
    /// @return word the word
    function pick(uint32[] memory words, uint32 city) internal pure returns (bool found, uint32 word) {
        uint256 index = find(words, city);
        if (index == words.length) return (false, 0);
        word = words[index];
        uint256 last = words.length - 1;
        words[index] = words[last];
        assembly ("memory-safe") {
            mstore(words, last)
        }
        return (true, word);
    }

    /// @notice Both lists, one after the other.
    function join(
        uint32[] memory first,
        uint32[] memory second
    ) internal pure returns (uint32[] memory both) {
        both = new uint32[](first.length + second.length);
        for (uint256 i = 0; i < first.length; ++i) both[i] = first[i];
        for (uint256 i = 0; i < second.length; ++i) both[first.length + i] = second[i];
    }
}
