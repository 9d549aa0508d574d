//! What an agent is granted: its sandbox and the web.

use crate::faults::check;

#[test]
fn the_sandbox_of_an_agent_is_checked_key_by_key() {
    check(
        r#"version: 1
name: w
inputs:
  d: {type: string}
agents:
  a: {provider: p, model: m, sandbox: []}
  b: {provider: p, model: m, sandbox: {network: ful, hosts: [x], read: [/, ~/x, /a, /a], write: 5}}
  c: {provider: p, model: m, sandbox: {env: [HOME, A-B, FUSION_MASTER_KEY, DATABASE_URL, OK]}}
  d: {provider: p, model: m, sandbox: {limits: {memory: 1MiB, processes: 0, cpu: 5, file_size: 5MB, x: 1, disk: 5KiB, files: 2}}}
  e: {provider: p, model: m, sandbox: {read: ["${{ inputs.d }}", "${{ inputs.e }}"], write: "${{ steps.s.outputs.text }}"}}
steps:
- {id: s, agent: a, prompt: p}
"#,
        &[
            "6:39 the `sandbox` of agent 'a' must be a map [its keys are: network, read, write, env, limits]",
            "7:49 `network` can't be `ful` [did you mean `full`?]",
            "7:54 unknown key `hosts` in the `sandbox` of agent 'b' [the keys are: network, read, write, env, limits]",
            "7:73 `read` can't have `/`: that is the whole machine [name the folder that is needed]",
            "7:76 `read` can't have `~/x`: `~` is not taken [write the whole path]",
            "7:85 `/a` is named twice in `read`",
            "7:97 `write` must be a list of folders",
            "8:46 `env` can't have `HOME`: commands have one of their own [leave it out]",
            "8:52 `env` can't have `A-B`: it can't be the name of a variable [names have letters, digits and `_`; values come from the environment of fusion-kit]",
            "8:57 `env` can't have `FUSION_MASTER_KEY`: it is fusion-kit's own [leave it out]",
            "8:76 `env` can't have `DATABASE_URL`: it is fusion-kit's own [leave it out]",
            "9:57 `memory` must be from 16MiB to 1024GiB",
            "9:74 `processes` must be a whole number from 1 to 100000",
            "9:82 `cpu` must be a time such as 90s, 20m or 2h [write 5s for seconds]",
            "9:96 `file_size` must be a size such as 512MiB or 2GiB",
            "9:101 unknown key `x` in the `limits` of agent 'd' [the keys are: memory, processes, cpu, file_size, disk, snapshot, files]",
            "9:113 `disk` must be from 1MiB to 1024GiB",
            "9:126 `files` must be a whole number from 100 to 100000000",
            "10:78 the workflow has no input 'e' [the inputs are: d]",
            "10:98 providers, models and granted folders are chosen before the run starts: no step has a result yet [use an input, for example `inputs.model`]",
        ],
    );
}

#[test]
fn hosts_and_the_tools_that_reach_them_come_together() {
    check(
        r#"version: 1
name: w
agents:
  a: {provider: p, model: m, tools: [web]}
  b: {provider: p, model: m, web: {hosts: [docs.rs]}}
  c: {provider: p, model: m, tools: [web], web: {hosts: ["*.com", 5, docs.rs], ports: 1}}
  d: {provider: p, model: m, tools: [web], web: {}}
steps:
- {id: s, agent: a, prompt: p}
"#,
        &[
            "4:30 agent 'a' has the tools `web` and no hosts for them [give it hosts: `web: { hosts: [docs.rs] }`]",
            "5:35 agent 'b' has hosts and no tools that reach them [add `web` to its `tools`]",
            "6:58 '*.com' is not a host: write one such as docs.rs, *.python.org, https://example.org:8443 or http://localhost:3000",
            "6:67 `hosts` must be a list of hosts [this entry is not one]",
            "6:80 unknown key `ports` in the `web` of agent 'c' [the keys are: hosts]",
            "7:49 the `web` of agent 'd' has no `hosts`",
        ],
    );
}

#[test]
fn the_workspace_of_an_agent_is_one_of_its_kinds() {
    check(
        r#"version: 1
name: w
agents:
  a: {provider: p, model: m, workspace: {type: directory, repository: x}}
  b: {provider: p, model: m, workspace: {type: worktre, template: x}}
  c: {provider: p, model: m, workspace: {type: worktree, template: x, revision: "${{ x }}"}}
  d: {provider: p, model: m, workspace: {template: x}}
  e: {provider: p, model: m, workspace: here}
steps:
- {id: s, agent: a, prompt: p}
"#,
        &[
            "4:59 `repository` belongs to a workspace of the type `worktree`",
            "5:48 there is no kind of workspace `worktre` [did you mean `worktree`?]",
            "6:42 the `workspace` of agent 'c' has no `repository`",
            "6:58 `template` belongs to a workspace of the type `directory`",
            "6:81 `revision` has an expression, and is taken as it is",
            "7:42 the `workspace` of agent 'd' has no `type`",
            "8:41 the `workspace` of agent 'e' must be a map [its keys are: type, template, repository, revision]",
        ],
    );
}
