// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Parameter} from "./Hub.sol";

/// @title The numbers that members agree on
/// @notice Each has a name, the value that a network is founded with, and bounds that no vote passes.
library Parameters {
    /// @dev How many there are.
    uint256 internal constant COUNT = 13;

    /// @notice The parameter at a place, with the value that a network is founded with.
    function entry(uint256 index) internal pure returns (Parameter memory) {
        // Thousandths: a proposal needs the votes of more than this part.
        if (index == 0) return Parameter("threshold", 500, 500, 999);
        // The same for what cannot be undone or changes the rules of voting: 666 is two thirds, for the numbers of
        // members that there can be.
        if (index == 1) return Parameter("removalThreshold", 666, 500, 999);
        // Thousandths: at least this part has to vote at all.
        if (index == 2) return Parameter("quorum", 500, 0, 1000);
        // Seconds between passing and the earliest execution.
        if (index == 3) return Parameter("timeLock", 0, 0, 90 days);
        // Seconds for which members vote.
        if (index == 4) return Parameter("votingPeriod", 7 days, 1 minutes, 90 days);
        // Seconds after the earliest execution, when a proposal that passed lapses.
        if (index == 5) return Parameter("executionPeriod", 30 days, 1 hours, 365 days);
        // Active members that the network keeps once it had them.
        if (index == 6) return Parameter("minimumMembers", 4, 1, 1_000);
        // Applications that one member creates on a day of UTC.
        if (index == 7) return Parameter("creationsPerDay", 1_000, 1, 100_000);
        // Seconds until a successor may speak for a member.
        if (index == 8) return Parameter("successorDelay", 2 days, 0, 90 days);
        // Seconds for which cities keep what a closed application left.
        if (index == 9) return Parameter("closedDataKept", 30 days, 0, 3650 days);
        // Seconds for which nobody gets the name of a closed application.
        if (index == 10) return Parameter("nameRest", 90 days, 0, 3650 days);
        // Cities that one member ever registers.
        if (index == 11) return Parameter("citiesPerMember", 64, 1, 4_096);
        // Proposals that one member brings in on a day of UTC.
        return Parameter("proposalsPerDay", 100, 1, 10_000);
    }
}
