//! What the commands ask of the hub's contracts beyond what a city does (`hub::abi`), and all that the contracts refuse with.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "written by a macro from Solidity"
)]

use alloy_sol_types::sol;

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct Proposal {
        uint32 id;
        uint8 kind;
        bytes payload;
        uint32 proposer;
        string reason;
        uint64 created;
        uint64 deadline;
        uint64 earliest;
        uint64 latest;
        uint32 votesFor;
        uint32 votesAgainst;
        uint32 electorate;
        uint32 needed;
        uint8 status;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Parameter {
        bytes32 name;
        uint64 value;
        uint64 least;
        uint64 most;
    }

    #[derive(Debug)]
    interface IProposals {
        event Proposed(uint32 indexed id, uint8 indexed kind, uint32 indexed proposer, uint64 deadline);
        event Passed(uint32 indexed id, uint64 earliest, uint64 latest);

        function proposal(uint32 id) external view returns (Proposal memory);
        function voteOf(uint32 id, uint32 member) external view returns (uint8);
        function parameters() external view returns (Parameter[] memory);
    }

    #[derive(Debug)]
    interface IAuthorities {
        function nameSuccessor(address successor) external;
        function succeed(uint32 id) external;
    }

    #[derive(Debug)]
    interface IRegistrations {
        event Registered(uint32 indexed city, uint32 indexed member, address indexed node, bytes32 tlsFingerprint);
        event Rotated(uint32 indexed city, uint32 indexed successor);
    }

    #[derive(Debug)]
    interface INames {
        function byName(string calldata name) external view returns (uint64);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface IRefusals {
        error NotAllowed(address caller);
        error NotAMember(address account);
        error MemberNotActive(uint32 member, uint8 status);
        error UnknownMember(uint32 member);
        error UnknownCity(uint32 city);
        error UnknownApplication(uint64 n);
        error TooMany(uint256 given, uint256 most);
        error ApplicationNameTaken(string name, uint64 n);
        error NoOwner();
        error OutOfRange(uint8 field, uint256 value);
        error Concentrated(uint32 member, uint32 held, uint32 mayFail);
        error DailyLimit(uint32 member, uint64 most);
        error ChainIdsExhausted();
        error NotTheOwner(uint64 n, address caller);
        error WrongApplicationStatus(uint64 n, uint8 present, uint8 wanted);
        error SponsoredElsewhere(address account, uint32 member);
        error NotYet(uint64 n, uint64 from);
        error NothingThere(uint32 city, uint64 index);
        error NothingChanges(uint64 n);
        error TooManyLeave(uint64 n, uint256 leaving, uint256 most);
        error NotPlaced(uint64 n, uint32 city);
        error PlacedAlready(uint64 n, uint32 city);
        error NoCityLeft(uint64 n);
        error TooLateToCancel(uint64 n);
        error CityNotRemoved(uint32 city, uint8 status);
        error NotProven(uint64 n, uint8 rule);
        error UnknownCardVersion(uint64 version);
        error WrongNetwork(bytes32 network, bytes32 expected);
        error NoAuthority();
        error NoFingerprint();
        error CardNotProven(address node, address signer);
        error NodeKeyUsed(address node, uint32 city);
        error FingerprintUsed(bytes32 tlsFingerprint, uint32 city);
        error NotTheCardsMember(address authority, string member);
        error NotTheCitysMember(uint32 city, address caller);
        error CityNotActive(uint32 city, uint8 status);
        error WrongCityStatus(uint32 city, uint8 present, uint8 wanted);
        error AbsurdOffer(uint8 field, uint256 value);
        error BadList(uint256 index);
        error NotOffered(uint32 city, uint32 member);
        error NoCapacity(uint32 city, uint8 resource, uint64 wanted, uint64 left);
        error CityTwice(uint32 city);
        error NoCities();
        error StillPlaced(uint32 city, uint32 chains);
        error HubValidator(uint32 city);
        error HubAtRisk(uint256 missing, uint256 mayFail);
        error NameTaken(string name, uint32 member);
        error AuthorityTaken(address authority, uint32 member);
        error BadAuthority(address authority);
        error WrongMemberStatus(uint32 member, uint8 present, uint8 wanted);
        error TooFewMembers(uint32 left, uint32 least);
        error NotTheSuccessor(uint32 member, address account);
        error TooEarly(uint64 from);
        error BadMemberName(string name);
        error BadPlace(string place);
        error BadEndpoint(string endpoint);
        error BadRpc(string rpc);
        error BadApplicationName(string name);
        error FoundedAlready();
        error FounderCount(uint256 count);
        error NoNetworkId();
        error UnknownProposal(uint32 id);
        error UnknownKind(uint8 kind);
        error PayloadNotCanonical();
        error ProposalLimit(uint32 member, uint64 most);
        error VotedAlready(uint32 id, uint32 member);
        error NotVoting(uint32 id, uint8 status);
        error NotPassed(uint32 id, uint8 status);
        error TimeLocked(uint32 id, uint64 earliest);
        error BadVoteSignature(uint32 member);
        error UnknownParameter(bytes32 name);
        error ParameterOutOfRange(bytes32 name, uint64 value, uint64 least, uint64 most);
        error ForkInThePast(string name, uint64 activation);
        error ForkKnown(string name);
    }
}
