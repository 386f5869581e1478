// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, MAX_PAGE, MAX_SERVING, APPLICATIONS, CITIES, GOVERNANCE, MEMBERS} from "./Hub.sol";
import {Candidate, IValidators, sort} from "./Hub.sol";
import {CityNotActive, NotAllowed, NotTheCitysMember} from "./Hub.sol";

/// @title Which cities are the hub's validators
/// @notice One city a member, equal weight, at most 31 that serve. A city says itself that it is ready; who serves next
/// follows from who waited longest and who served longest, without chance and without votes. Anybody has the set renewed
/// when that is due.
/// @dev Those that wait are a list in the order of their waiting, so that nothing looks through all of it. Installed at
/// 0x…ca04, without a constructor.
contract Validators is IValidators {
    /// @dev A city's standing: one word, and a second one while it is about to take over.
    struct Row {
        address node;
        /// Number of the hub's block since when it serves or waits.
        uint48 since;
        /// Its neighbours among those that wait.
        uint16 next;
        uint16 previous;
        uint8 standing;
        uint8 withdrew;
        /// Of one that serves: the city that takes over from it; of that one: the city that it takes over from.
        uint32 other;
    }

    /// @dev Those that wait, and what was done when: one word.
    struct Turns {
        uint16 first;
        uint16 last;
        uint16 waiting;
        /// The last period of 1,024 blocks in which cities left by turn.
        uint48 period;
        /// The block of the last renewal.
        uint48 renewed;
    }

    /// @dev What a renewal does.
    struct Plan {
        /// Those that serve (`_keys`), who served longest first.
        uint256[] serving;
        /// Why each leaves; 0: it stays.
        uint8[] why;
        /// Who then takes over from each; 0: nobody.
        uint32[] heirs;
        uint256 left;
        /// The first of those that wait; who is not in force is dropped.
        uint32[] looked;
        bool[] isActive;
        uint256 looks;
        uint256 joined;
        /// How many leave by turn.
        uint256 turned;
    }

    uint8 private constant NONE = 0;
    uint8 private constant WAITS = 1;
    uint8 private constant SERVES = 2;
    uint8 private constant TAKES_OVER = 3;
    /// @dev Who withdrew a city: its node key, whose next word takes that back, or its member.
    uint8 private constant BY_NODE = 1;
    uint8 private constant BY_MEMBER = 2;
    /// @dev How a city leaves: because it is away, at a wish (its own, or since another takes over), by turn.
    uint8 private constant STAYS = 0;
    uint8 private constant AWAY = 1;
    uint8 private constant AT_A_WISH = 2;
    uint8 private constant BY_TURN = 3;
    /// @dev Blocks after which some leave by turn.
    uint256 private constant PERIOD = 1_024;
    /// @dev Of those that wait, a renewal looks at so many: at most 20 join, the others are not in force any more.
    uint256 private constant MAX_LOOKS = 40;
    /// @dev A city goes on under one new key after the other; so many are followed.
    uint256 private constant MAX_KEYS = 64;
    /// @dev Of `_keys`: a node address and a city's number.
    uint256 private constant KEY_BITS = 176;

    mapping(uint32 city => Row row) private _rows;
    /// @dev The city with which a member serves or waits, or is about to take over from its own.
    mapping(uint32 member => uint32 city) private _candidates;
    uint32[] private _serving;
    Turns private _turns;

    /// @notice A city waits to serve.
    event Waits(uint32 indexed city);
    /// @notice A city takes over with the next renewal from the one that serves for its member.
    event TakesOver(uint32 indexed city, uint32 indexed from);
    /// @notice A city was withdrawn: by its node key (1) or by its member (2); 0: that was taken back.
    event Withdrawn(uint32 indexed city, uint8 by);
    /// @notice A city that waited is not in force any more.
    event Dropped(uint32 indexed city);
    /// @notice A city serves.
    event Joined(uint32 indexed city);
    /// @notice A city does not serve any more: 1 it is suspended or removed, 2 it withdrew or another took over, 3 it was
    /// its turn.
    event LeftHub(uint32 indexed city, uint8 why);

    /// @notice The member serves or waits with this city.
    error CandidateAlready(uint32 member, uint32 city);
    /// @notice The city's member withdrew it; `readmit` takes that back.
    error IsWithdrawn(uint32 city);
    /// @notice The hub would miss so many of its validators; it stands still when more than `mayFail` do.
    error HubAtRisk(uint256 missing, uint256 mayFail);

    /// @notice Once, by `Governance`: the founders' cities serve.
    function found(uint32[] calldata cities) external {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        uint256[] memory words = CITIES.words(cities);
        for (uint256 i = 0; i < words.length; ++i) {
            _stand(uint32(words[i]), address(uint160(words[i] >> 64)), SERVES);
            _candidates[uint32(words[i] >> 32)] = uint32(words[i]);
        }
        _serving = cities;
        _turns.renewed = uint48(block.number);
    }

    /// @notice The caller, a city's node key, says that the city holds the hub and is to serve. It waits from now on,
    /// unless it serves or waits already. Another city of its member gives way if it is not in force any more, or goes
    /// on under the caller's key: at once if it waits; if it serves, the caller takes over with the next renewal.
    function ready() external {
        uint32 city = CITIES.idOf(msg.sender);
        if (city == 0) revert NotAllowed(msg.sender);
        uint8 status = CITIES.statusOf(city);
        if (status != ACTIVE) revert CityNotActive(city, status);
        Row storage row = _rows[city];
        if (row.withdrew == BY_MEMBER) revert IsWithdrawn(city);
        if (row.withdrew == BY_NODE) _mark(city, row, 0);
        if (row.standing != NONE) return;
        uint32 member = _memberOf(city);
        uint32 present = _candidates[member];
        if (present != 0 && CITIES.statusOf(present) == ACTIVE && !_goesOnAs(present, city)) {
            revert CandidateAlready(member, present);
        }
        _candidates[member] = city;
        uint32 from = _giveWay(present);
        if (from == 0) {
            _stand(city, msg.sender, WAITS);
            _link(city, _turns.last);
        } else {
            _stand(city, msg.sender, TAKES_OVER);
            (row.other, _rows[from].other) = (from, city);
            emit TakesOver(city, from);
        }
    }

    /// @notice Takes a city back: from those that wait at once, from those that serve with the next renewal. By its node
    /// key, which takes it back with `ready`, or by the authority of its member, which does with `readmit`.
    function withdraw(uint32 city) external {
        uint32 member = _memberOf(city);
        Row storage row = _rows[city];
        uint8 by = CITIES.idOf(msg.sender) == city ? BY_NODE : BY_MEMBER;
        if (by == BY_MEMBER) _checkAuthority(city, member);
        if (by > row.withdrew) _mark(city, row, by);
        if (row.standing == WAITS || row.standing == TAKES_OVER) _candidates[member] = _giveWay(city);
    }

    /// @notice The authority of its member lets a city serve again that it withdrew.
    function readmit(uint32 city) external {
        _checkAuthority(city, _memberOf(city));
        Row storage row = _rows[city];
        if (row.withdrew == BY_MEMBER) _mark(city, row, 0);
    }

    /// @notice Renews the set of those that serve, once a block, where that is due. Anybody may; else it does nothing.
    function renew() external {
        if (block.number <= _turns.renewed) return;
        Plan memory plan = _plan();
        if (plan.left + plan.looks == 0) return;
        _turns.renewed = uint48(block.number);
        if (plan.turned > 0) _turns.period = uint48(block.number / PERIOD);
        uint32[] memory next = new uint32[](plan.serving.length + plan.joined);
        uint256 size = _join(plan, next);
        size = _depart(plan, next, size);
        if (plan.left + plan.joined == 0) return;
        assembly ("memory-safe") {
            mstore(next, size)
        }
        _serving = next;
        APPLICATIONS.setHub(next);
    }

    /// @notice Whether a renewal would change something, in this block or, if there was one, in the next.
    function due() external view returns (bool) {
        Plan memory plan = _plan();
        return plan.left + plan.looks > 0;
    }

    /// @notice The cities that serve.
    function serving() external view returns (Candidate[] memory all) {
        uint32[] memory cities = _serving;
        all = new Candidate[](cities.length);
        for (uint256 i = 0; i < cities.length; ++i) all[i] = candidate(cities[i]);
    }

    /// @notice The cities that wait, those that waited longest first: from the one behind city `behind` on (0: from the
    /// first), at most `limit` and 256 of them.
    function waiting(uint32 behind, uint32 limit) external view returns (Candidate[] memory page) {
        uint256 size = limit < _turns.waiting ? limit : _turns.waiting;
        if (size > MAX_PAGE) size = MAX_PAGE;
        page = new Candidate[](size);
        uint32 city = behind == 0 ? _turns.first : _rows[behind].next;
        uint256 count = 0;
        for (; city != 0 && count < size; city = _rows[city].next) page[count++] = candidate(city);
        assembly ("memory-safe") {
            mstore(page, count)
        }
    }

    /// @notice How many wait.
    function waitingCount() external view returns (uint32) {
        return _turns.waiting;
    }

    /// @notice The block of the last renewal, and the last period of 1,024 blocks in which cities left by turn.
    function lastRenewal() external view returns (uint64 number, uint64 period) {
        return (_turns.renewed, _turns.period);
    }

    /// @notice Whether a city is one of the hub's validators.
    function isServing(uint32 city) external view returns (bool) {
        return _rows[city].standing == SERVES;
    }

    /// @notice The city with which a member serves or waits, or that takes over from it; 0: none.
    function candidateOf(uint32 member) external view returns (uint32) {
        return _candidates[member];
    }

    /// @notice Reverts if the hub could stand still without this member and this city (0: none).
    function checkHub(uint32 member, uint32 city) external view {
        uint256[] memory words = CITIES.words(_serving);
        bool concerned = false;
        uint256 missing = 0;
        for (uint256 i = 0; i < words.length; ++i) {
            bool meant = uint32(words[i]) == city || uint32(words[i] >> 32) == member;
            concerned = concerned || meant;
            if (meant || CITIES.statusOf(uint32(words[i])) != ACTIVE) ++missing;
        }
        uint256 mayFail = (words.length - 1) / 3;
        if (concerned && missing > mayFail) revert HubAtRisk(missing, mayFail);
    }

    /// @notice How a city stands.
    function candidate(uint32 city) public view returns (Candidate memory) {
        Row storage row = _rows[city];
        return
            Candidate({
                city: city,
                node: row.node,
                standing: row.standing,
                since: row.since,
                withdrew: row.withdrew,
                other: row.other
            });
    }

    /// @dev Those that were looked at wait no more.
    /// @return size how many of them serve: they are written to `next`
    function _join(Plan memory plan, uint32[] memory next) private returns (uint256 size) {
        for (uint256 i = 0; i < plan.looks; ++i) {
            uint32 city = plan.looked[i];
            _unlink(city);
            if (plan.isActive[i]) {
                _stand(city, _rows[city].node, SERVES);
                next[size++] = city;
            } else {
                delete _candidates[_memberOf(city)];
                _clear(city);
                emit Dropped(city);
            }
        }
    }

    /// @dev Writes those that stay, and those that take over, to `next` behind `size` others.
    /// @return how many there are then
    function _depart(Plan memory plan, uint32[] memory next, uint256 size) private returns (uint256) {
        uint256[] memory turned = new uint256[](plan.turned);
        uint256 count = 0;
        for (uint256 i = 0; i < plan.serving.length; ++i) {
            uint32 city = uint16(plan.serving[i]);
            if (plan.why[i] == STAYS) {
                next[size++] = city;
                continue;
            }
            emit LeftHub(city, plan.why[i]);
            uint32 heir = plan.heirs[i];
            // One that was to take over, and is not in force now, says anew that it is ready.
            if (heir == 0 && _rows[city].other != 0) _clear(_rows[city].other);
            if (plan.why[i] == BY_TURN) {
                turned[count++] = plan.serving[i] & ((1 << KEY_BITS) - 1);
                _candidates[_memberOf(city)] = city;
                continue;
            }
            uint48 since = _rows[city].since;
            _clear(city);
            if (heir == 0) {
                delete _candidates[_memberOf(city)];
            } else {
                _clear(heir);
                _stand(heir, _rows[heir].node, SERVES);
                // Nobody escapes its turn by another key.
                _rows[heir].since = since;
                next[size++] = heir;
            }
        }
        // Backwards, each from where the one before it was linked: lower node addresses wait before higher ones.
        sort(turned);
        uint16 place = _turns.last;
        for (uint256 i = turned.length; i > 0; --i) {
            uint32 city = uint16(turned[i - 1]);
            _clear(city);
            _stand(city, _rows[city].node, WAITS);
            place = _link(city, place);
        }
        return size;
    }

    /// @dev A city that waits, or is to take over, does so no more; one that serves goes on until a renewal.
    /// @return from the city that serves for the member all the same; 0: none
    function _giveWay(uint32 city) private returns (uint32 from) {
        if (city == 0) return 0;
        Row storage row = _rows[city];
        if (row.standing == SERVES) return city;
        if (row.standing == WAITS) _unlink(city);
        from = row.other;
        if (from != 0) delete _rows[from].other;
        _clear(city);
    }

    /// @dev From now on a city serves, waits or is to take over. One that waits is linked besides.
    function _stand(uint32 city, address node, uint8 standing) private {
        Row storage row = _rows[city];
        row.node = node;
        row.since = uint48(block.number);
        row.standing = standing;
        if (standing == SERVES) emit Joined(city);
        if (standing == WAITS) emit Waits(city);
    }

    /// @dev Who withdrew it stays known.
    function _clear(uint32 city) private {
        Row storage row = _rows[city];
        row.since = 0;
        row.standing = NONE;
        if (row.other != 0) row.other = 0;
    }

    function _mark(uint32 city, Row storage row, uint8 by) private {
        row.withdrew = by;
        emit Withdrawn(city, by);
    }

    /// @dev Has a city wait behind city `place` (0: before all), or before that one and others of this block whose
    /// node addresses are higher.
    /// @return behind which city it waits
    function _link(uint32 city, uint16 place) private returns (uint16) {
        Row storage row = _rows[city];
        (uint48 since, address node) = (row.since, row.node);
        uint16 next = place == 0 ? _turns.first : _rows[place].next;
        while (place != 0) {
            Row storage before = _rows[place];
            if (before.since != since || before.node < node) break;
            (next, place) = (place, before.previous);
        }
        row.previous = place;
        row.next = next;
        _neighbours(place, uint16(city));
        _neighbours(uint16(city), next);
        ++_turns.waiting;
        return place;
    }

    function _unlink(uint32 city) private {
        Row storage row = _rows[city];
        _neighbours(row.previous, row.next);
        row.previous = 0;
        row.next = 0;
        --_turns.waiting;
    }

    /// @dev Makes two cities neighbours; 0 is the end on either side.
    function _neighbours(uint16 previous, uint16 next) private {
        if (previous == 0) _turns.first = next;
        else _rows[previous].next = next;
        if (next == 0) _turns.last = previous;
        else _rows[next].previous = previous;
    }

    /// @dev What a renewal would do now.
    function _plan() private view returns (Plan memory plan) {
        plan.serving = _keys();
        uint256 size = plan.serving.length;
        plan.why = new uint8[](size);
        plan.heirs = new uint32[](size);
        uint256 most = size > 3 ? (size - 1) / 3 : 1;
        uint256 rest = _planLeaving(plan, most);

        uint256 free = MAX_SERVING - rest;
        uint256 seats = free < most ? free : most;
        // There are turns only where no seat stays free.
        bool turn = free == seats && block.number / PERIOD > _turns.period;
        _planJoining(plan, turn ? seats + most - plan.left : seats);
        if (plan.joined <= seats) return plan;
        plan.turned = plan.joined - seats;
        uint256 turned = 0;
        for (uint256 i = 0; turned < plan.turned; ++i) {
            if (plan.why[i] != STAYS) continue;
            plan.why[i] = BY_TURN;
            ++turned;
        }
    }

    /// @dev Who leaves, `most` of them: first those that are away, so that as few as may be are missing from the set
    /// that then serves. One stays in any case.
    /// @return rest how many serve then
    function _planLeaving(Plan memory plan, uint256 most) private view returns (uint256 rest) {
        rest = plan.serving.length;
        for (uint256 i = 0; i < plan.serving.length; ++i) {
            Row storage row = _rows[uint16(plan.serving[i])];
            uint32 other = row.other;
            if (other != 0 && CITIES.statusOf(other) == ACTIVE) plan.heirs[i] = other;
            if (CITIES.statusOf(uint16(plan.serving[i])) != ACTIVE) plan.why[i] = AWAY;
            else if (row.withdrew != 0 || plan.heirs[i] != 0) plan.why[i] = AT_A_WISH;
        }
        for (uint8 why = AWAY; why <= AT_A_WISH; ++why) {
            for (uint256 i = 0; i < plan.serving.length; ++i) {
                if (plan.why[i] != why) continue;
                bool replaced = plan.heirs[i] != 0;
                if (plan.left == most || (!replaced && rest == 1)) {
                    plan.why[i] = STAYS;
                    continue;
                }
                ++plan.left;
                if (!replaced) --rest;
            }
        }
    }

    /// @dev Who joins of those that wait, `most` of them.
    function _planJoining(Plan memory plan, uint256 most) private view {
        plan.looked = new uint32[](MAX_LOOKS);
        plan.isActive = new bool[](MAX_LOOKS);
        uint32 city = _turns.first;
        while (city != 0 && plan.joined < most && plan.looks < MAX_LOOKS) {
            plan.looked[plan.looks] = city;
            if (CITIES.statusOf(city) == ACTIVE) {
                plan.isActive[plan.looks] = true;
                ++plan.joined;
            }
            ++plan.looks;
            city = _rows[city].next;
        }
    }

    /// @dev Those that serve, as words since ‖ node ‖ city: ascending, who served longest comes first, and of those that
    /// served equally long the lower node address.
    function _keys() private view returns (uint256[] memory keys) {
        uint32[] memory cities = _serving;
        keys = new uint256[](cities.length);
        for (uint256 i = 0; i < cities.length; ++i) {
            Row storage row = _rows[cities[i]];
            keys[i] = (uint256(row.since) << KEY_BITS) | (uint256(uint160(row.node)) << 16) | cities[i];
        }
        sort(keys);
    }

    /// @dev Whether a city goes on as another one under new keys.
    function _goesOnAs(uint32 city, uint32 other) private view returns (bool) {
        for (uint256 i = 0; i < MAX_KEYS && city != 0 && city != other; ++i) city = CITIES.successorOf(city);
        return city == other;
    }

    function _memberOf(uint32 city) private view returns (uint32) {
        uint32[] memory cities = new uint32[](1);
        cities[0] = city;
        return uint32(CITIES.words(cities)[0] >> 32);
    }

    function _checkAuthority(uint32 city, uint32 member) private view {
        if (MEMBERS.idOf(msg.sender) != member) revert NotTheCitysMember(city, msg.sender);
    }
}
