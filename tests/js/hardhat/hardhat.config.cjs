// A project as a developer of an application has it, but for two things: the compiler is npm's, as Hardhat's own
// download is not for a test, and the network is the chain under test, with the key of an account of nothing.

const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
require("@nomicfoundation/hardhat-ethers");

const version = "0.8.37";

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async () => ({
  compilerPath: require.resolve("solc/soljson.js"),
  isSolcJs: true,
  version,
  longVersion: require("solc").version(),
}));

module.exports = {
  solidity: { version, settings: { optimizer: { enabled: true }, evmVersion: "prague" } },
  defaultNetwork: "causeway",
  networks: {
    causeway: {
      url: process.env.CAUSEWAY_TEST_URL ?? "http://127.0.0.1:8545",
      accounts: process.env.CAUSEWAY_TEST_KEY ? [process.env.CAUSEWAY_TEST_KEY] : [],
    },
  },
};
