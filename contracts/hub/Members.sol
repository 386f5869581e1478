// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, SUSPENDED, REMOVED, MAX_MEMBERS, MAX_PAGE} from "./Hub.sol";
import {APPLICATIONS, GOVERNANCE, IMembers, Member} from "./Hub.sol";
import {NotAllowed, NotAMember, MemberNotActive, UnknownMember, TooMany} from "./Hub.sol";
import {Institutions} from "./Institutions.sol";
import {Words} from "./Words.sol";

/// @title Who is a member
/// @notice Institutions, the address that speaks for each (its authority: a key or a contract), and whether they are
/// in force. Only a vote admits, suspends, restores or removes one; an authority itself names only its successor. Each
/// has an account of the applications that are created for it: by its authority, or by addresses that it sponsors.
/// @dev Numbers are given from 1 and never again. Installed at 0x…ca00, without a constructor.
contract Members is IMembers {
    /// @dev One member: two words and its name.
    struct Row {
        address authority;
        uint8 status;
        uint64 since;
        address successor;
        uint64 successorFrom;
        string name;
    }

    /// @dev What a member lets an address create on its account.
    struct Sponsored {
        uint32 member;
        uint32 left;
    }

    /// @dev Creations of a member on one day of UTC.
    struct Day {
        uint64 number;
        uint64 created;
    }

    uint32 private constant MOST_SPONSORED = 10_000;

    mapping(uint32 id => Row row) private _rows;
    /// @dev Who speaks for a member that is not removed.
    mapping(address authority => uint32 id) private _byAuthority;
    /// @dev Names of members that are not removed.
    mapping(bytes32 key => uint32 id) private _byName;
    /// @dev Bit id mod 256 of word id / 256: active.
    mapping(uint32 word => uint256 bits) private _active;
    /// @dev The same: not removed.
    mapping(uint32 word => uint256 bits) private _present;
    uint32 private _count;
    uint32 private _activeCount;
    /// @dev Most members that were active at one time.
    uint32 private _peak;
    mapping(address account => Sponsored sponsored) private _sponsored;
    mapping(uint32 member => Day day) private _days;

    /// @notice A member was admitted.
    event Admitted(uint32 indexed member, address indexed authority, string name);
    /// @notice A member was suspended, restored or removed.
    event MemberStatus(uint32 indexed member, uint8 status);
    /// @notice A member named who may speak for it from `from` on; zero: nobody.
    event SuccessorNamed(uint32 indexed member, address indexed successor, uint64 from);
    /// @notice Another address speaks for a member now.
    event AuthorityChanged(uint32 indexed member, address indexed authority);
    /// @notice A member lets an address create so many applications on its account.
    event SponsoredBy(uint32 indexed member, address indexed account, uint32 creations);

    /// @notice Another member has this name.
    error NameTaken(string name, uint32 member);
    /// @notice This address speaks for a member already.
    error AuthorityTaken(address authority, uint32 member);
    /// @notice The zero address speaks for nobody, and neither do the hub's own contracts.
    error BadAuthority(address authority);
    /// @notice From its present status a member cannot get to this one.
    error WrongMemberStatus(uint32 member, uint8 present, uint8 wanted);
    /// @notice The network would be left with `left` active members; it has to keep `least`.
    error TooFewMembers(uint32 left, uint32 least);
    /// @notice The member named no such successor.
    error NotTheSuccessor(uint32 member, address account);
    /// @notice The successor has to wait until `from`.
    error TooEarly(uint64 from);
    /// @notice The member created as many today as it may.
    error DailyLimit(uint32 member, uint64 most);
    /// @notice Another member lets this address create already, or it is a member's own.
    error SponsoredElsewhere(address account, uint32 member);

    modifier onlyGovernance() {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        _;
    }

    /// @notice Names who is to speak for the caller's member; what was named before is forgotten.
    /// @param successor a key or a contract; zero takes a nomination back
    function nameSuccessor(address successor) external {
        uint32 id = activeIdOf(msg.sender);
        uint64 from = 0;
        if (successor != address(0)) {
            _checkFree(successor);
            from = uint64(block.timestamp) + GOVERNANCE.parameter("successorDelay");
        }
        Row storage row = _rows[id];
        row.successor = successor;
        row.successorFrom = from;
        emit SuccessorNamed(id, successor, from);
    }

    /// @notice The caller, whom member `id` named, speaks for it from now on.
    function succeed(uint32 id) external {
        Row storage row = _row(id);
        if (row.successor != msg.sender) revert NotTheSuccessor(id, msg.sender);
        if (row.status != ACTIVE) revert MemberNotActive(id, row.status);
        if (block.timestamp < row.successorFrom) revert TooEarly(row.successorFrom);
        _checkFree(msg.sender);
        _setAuthority(id, row, msg.sender);
    }

    /// @notice Lets `account` create so many applications on the account of the caller's member; 0: no more.
    function sponsor(address account, uint32 creations) external {
        uint32 id = activeIdOf(msg.sender);
        if (creations > MOST_SPONSORED) revert TooMany(creations, MOST_SPONSORED);
        uint32 own = _byAuthority[account];
        if (account == address(0) || own != 0) revert SponsoredElsewhere(account, own);
        Sponsored storage sponsored = _sponsored[account];
        uint32 other = sponsored.left == 0 ? id : sponsored.member;
        if (other != id && _rows[other].status != REMOVED) revert SponsoredElsewhere(account, other);
        sponsored.member = id;
        sponsored.left = creations;
        emit SponsoredBy(id, account, creations);
    }

    /// @notice Gives up what a member lets the caller create, so that another member can sponsor it.
    function renounce() external {
        Sponsored storage sponsored = _sponsored[msg.sender];
        if (sponsored.left == 0) revert NotAMember(msg.sender);
        sponsored.left = 0;
        emit SponsoredBy(sponsored.member, msg.sender, 0);
    }

    /// @notice Counts a creation by `account`, as `Applications` places it.
    /// @return id the member on whose account it is
    function countCreation(address account) external returns (uint32 id) {
        if (msg.sender != address(APPLICATIONS)) revert NotAllowed(msg.sender);
        id = _creatorOf(account);
        uint64 created = _checkDay(id);
        _days[id] = Day({number: uint64(block.timestamp / 1 days), created: created + 1});
        if (_byAuthority[account] == 0) --_sponsored[account].left;
    }

    /// @notice Makes an institution an active member, as members voted.
    /// @return id its number
    function admit(string calldata name, address authority) external onlyGovernance returns (uint32 id) {
        checkAdmission(name, authority);
        id = ++_count;
        Row storage row = _rows[id];
        row.authority = authority;
        row.name = name;
        _byAuthority[authority] = id;
        _byName[Words.key(name)] = id;
        _present[id >> 8] |= _bit(id);
        _activate(id, row);
        emit Admitted(id, authority, name);
    }

    /// @notice Suspends (2), restores (1) or removes (3) a member, as members voted. What a removed one had of name and
    /// authority is free again.
    function setStatus(uint32 id, uint8 status) external onlyGovernance {
        checkStatus(id, status);
        Row storage row = _rows[id];
        if (row.status == ACTIVE) {
            _active[id >> 8] &= ~_bit(id);
            --_activeCount;
        }
        if (status == ACTIVE) {
            _activate(id, row);
        } else {
            row.status = status;
            row.since = uint64(block.timestamp);
        }
        if (status == REMOVED) {
            _present[id >> 8] &= ~_bit(id);
            delete _byAuthority[row.authority];
            delete _byName[Words.key(row.name)];
            row.successor = address(0);
            row.successorFrom = 0;
        }
        emit MemberStatus(id, status);
    }

    /// @notice Lets another address speak for a member at once, as members voted: its own was lost.
    function restoreAuthority(uint32 id, address authority) external onlyGovernance {
        checkAuthority(id, authority);
        _setAuthority(id, _rows[id], authority);
    }

    /// @notice How many members were ever admitted: the greatest number.
    function count() external view returns (uint32) {
        return _count;
    }

    /// @notice How many are active.
    function activeCount() external view returns (uint32) {
        return _activeCount;
    }

    /// @notice The network keeps at least so many active members.
    function leastMembers() public view returns (uint32) {
        uint32 least = uint32(GOVERNANCE.parameter("minimumMembers"));
        return _peak >= least ? least : 1;
    }

    /// @notice Member `id`.
    function member(uint32 id) external view returns (Member memory) {
        _row(id);
        return _member(id);
    }

    /// @notice Members from number `from` on, at most `limit` and 256 of them.
    function members(uint32 from, uint32 limit) external view returns (Member[] memory page) {
        if (from == 0) from = 1;
        uint256 length = from > _count ? 0 : uint256(_count) - from + 1;
        if (length > limit) length = limit;
        if (length > MAX_PAGE) length = MAX_PAGE;
        page = new Member[](length);
        for (uint32 i = 0; i < length; ++i) page[i] = _member(from + i);
    }

    /// @notice For which member an address speaks, suspended or not; 0: for none.
    function idOf(address authority) external view returns (uint32) {
        return _byAuthority[authority];
    }

    /// @notice For which active member an address speaks; reverts when for none.
    function activeIdOf(address authority) public view returns (uint32 id) {
        id = _byAuthority[authority];
        if (id == 0) revert NotAMember(authority);
        uint8 status = _rows[id].status;
        if (status != ACTIVE) revert MemberNotActive(id, status);
    }

    /// @notice A member's status; 0: there is none of this number.
    function statusOf(uint32 id) external view returns (uint8) {
        return _rows[id].status;
    }

    /// @notice On which active member's account `account` could create now; reverts when on none's.
    function creatorOf(address account) external view returns (uint32 id) {
        id = _creatorOf(account);
        _checkDay(id);
    }

    /// @notice For which member an address may create, and how many; of a member's own authority this knows nothing.
    function sponsorship(address account) external view returns (uint32 sponsor_, uint32 left) {
        Sponsored storage sponsored = _sponsored[account];
        return (sponsored.member, sponsored.left);
    }

    /// @notice Which members are active: bit i of word w stands for number 256 w + i.
    function activeBits(uint32 word) external view returns (uint256) {
        return _active[word];
    }

    /// @notice Which members are active or suspended, in the same form.
    function presentBits(uint32 word) external view returns (uint256) {
        return _present[word];
    }

    /// @notice Reverts unless a member of this name and authority could be admitted now.
    function checkAdmission(string calldata name, address authority) public view {
        if (_count >= MAX_MEMBERS) revert TooMany(uint256(_count) + 1, MAX_MEMBERS);
        Words.checkMemberName(name);
        uint32 holder = _byName[Words.key(name)];
        if (holder != 0) revert NameTaken(name, holder);
        _checkFree(authority);
    }

    /// @notice Reverts unless member `id` can get this status now.
    function checkStatus(uint32 id, uint8 status) public view {
        uint8 present = _row(id).status;
        bool allowed =
            (status == SUSPENDED && present == ACTIVE) ||
                (status == ACTIVE && present == SUSPENDED) ||
                (status == REMOVED && present != REMOVED);
        if (!allowed) revert WrongMemberStatus(id, present, status);
        if (present != ACTIVE) return;
        uint32 least = leastMembers();
        if (_activeCount <= least) revert TooFewMembers(_activeCount - 1, least);
    }

    /// @notice Reverts unless `authority` could speak for member `id` from now on.
    function checkAuthority(uint32 id, address authority) public view {
        uint8 status = _row(id).status;
        if (status == REMOVED) revert MemberNotActive(id, status);
        _checkFree(authority);
    }

    /// @notice How many institutions run cities, and how many of them, whichever, may fail. Reverts if a single one
    /// may not and that is not allowed.
    /// @param placed words of the cities (`placedWord`)
    function checkInstitutions(
        uint256[] calldata placed,
        bool allowed
    ) external pure returns (uint32 institutions, uint32 mayFail) {
        return Institutions.check(placed, allowed);
    }

    function _activate(uint32 id, Row storage row) private {
        row.status = ACTIVE;
        row.since = uint64(block.timestamp);
        _active[id >> 8] |= _bit(id);
        ++_activeCount;
        if (_activeCount > _peak) _peak = _activeCount;
    }

    function _setAuthority(uint32 id, Row storage row, address authority) private {
        delete _byAuthority[row.authority];
        _byAuthority[authority] = id;
        row.authority = authority;
        row.successor = address(0);
        row.successorFrom = 0;
        emit AuthorityChanged(id, authority);
    }

    function _checkFree(address authority) private view {
        // 0xca00 to 0xcaff are the system's.
        if (authority == address(0) || uint160(authority) >> 8 == 0xca) revert BadAuthority(authority);
        uint32 holder = _byAuthority[authority];
        if (holder != 0) revert AuthorityTaken(authority, holder);
    }

    function _creatorOf(address account) private view returns (uint32 id) {
        if (_byAuthority[account] != 0) return activeIdOf(account);
        Sponsored storage sponsored = _sponsored[account];
        id = sponsored.member;
        if (sponsored.left == 0) revert NotAMember(account);
        uint8 status = _rows[id].status;
        if (status != ACTIVE) revert MemberNotActive(id, status);
    }

    /// @dev How many the member created today, which is fewer than it may.
    function _checkDay(uint32 id) private view returns (uint64 created) {
        Day memory day = _days[id];
        created = day.number == block.timestamp / 1 days ? day.created : 0;
        uint64 most = GOVERNANCE.parameter("creationsPerDay");
        if (created >= most) revert DailyLimit(id, most);
    }

    function _row(uint32 id) private view returns (Row storage row) {
        row = _rows[id];
        if (row.status == 0) revert UnknownMember(id);
    }

    function _member(uint32 id) private view returns (Member memory) {
        Row storage row = _rows[id];
        return
            Member({
                id: id,
                name: row.name,
                authority: row.authority,
                status: row.status,
                since: row.since,
                successor: row.successor,
                successorFrom: row.successorFrom
            });
    }

    function _bit(uint32 id) private pure returns (uint256) {
        return 1 << (id & 0xff);
    }
}
