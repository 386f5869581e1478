// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {sort} from "./Hub.sol";

/// @title How an application's cities are spread over institutions
/// @notice Cities of one institution fail together.
library Institutions {
    /// @notice One institution would hold so many of the cities that the chain stands or lies with it, which only
    /// `allowConcentration` allows.
    error Concentrated(uint32 member, uint32 held, uint32 mayFail);

    /// @notice How many institutions run the cities, and how many of them, whichever, may fail. Reverts if a single
    /// one may not and that is not allowed.
    /// @param placed words of the cities (`placedWord`)
    function check(
        uint256[] memory placed,
        bool allowed
    ) internal pure returns (uint32 institutions, uint32 mayFail) {
        uint256[] memory members = new uint256[](placed.length);
        for (uint256 i = 0; i < placed.length; ++i) members[i] = uint32(placed[i] >> 32);
        sort(members);
        // Runs of one member, as held << 32 | member, over the same memory: a run is read before it is written.
        uint256 held = 0;
        for (uint256 i = 0; i < members.length; ++i) {
            ++held;
            uint256 member = members[i];
            if (i + 1 < members.length && members[i + 1] == member) continue;
            members[institutions] = (held << 32) | member;
            ++institutions;
            held = 0;
        }
        uint32 count_ = institutions;
        assembly ("memory-safe") {
            mstore(members, count_)
        }
        sort(members);
        uint256 left = (placed.length - 1) / 3;
        uint256 most = members[count_ - 1];
        if (!allowed && most >> 32 > left) {
            revert Concentrated(uint32(most), uint32(most >> 32), uint32(left));
        }
        // The greatest first: if these may fail, any so many may.
        for (uint256 i = count_; i > 0 && members[i - 1] >> 32 <= left; --i) {
            left -= members[i - 1] >> 32;
            ++mayFail;
        }
    }
}
