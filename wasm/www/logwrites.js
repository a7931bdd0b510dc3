/** The package, from its place in the repository. In the site it is in a folder beside this file: see build. */

export * from "../js/index.js";
