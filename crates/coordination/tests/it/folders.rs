//! Which agents of a run have a folder.

use std::path::Path;

use fusion_coordination::Driven;
use fusion_core::WorkflowState;
use fusion_persistence::AgentReader;
use fusion_workspaces::Owners;

use crate::models::Model;
use crate::world::World;

#[tokio::test]
async fn only_an_agent_whose_work_is_in_files_has_a_folder() {
    let world = World::new().await;
    world.register("good", Model::good());
    let file = "version: 1\nname: folders\nagents:\n  \
         filer: { provider: good, model: m, tools: [files] }\n  \
         talker: { provider: good, model: m, tools: [messages] }\nsteps:\n  \
         - { id: one, agent: filer, prompt: Do it. }\n  \
         - { id: two, agent: talker, prompt: Do it., needs: one }\n";
    let run = world.create(file).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    // As root, agents with a folder have a user of their own.
    let has_uid = Owners::of_this_process(1..=1) != Owners::SameUser;
    let agents = world.store.agents_of_run(run).await.unwrap();
    let found: Vec<(&str, bool, bool, bool)> = agents
        .iter()
        .map(|(agent, workspace)| {
            let path = Path::new(&workspace.root_path);
            (
                agent.name.as_str(),
                workspace.initialized,
                path.join(".agent").is_dir(),
                workspace.process_uid.is_some(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("filer", true, true, has_uid),
            ("talker", false, false, false)
        ]
    );
    let folders = std::fs::read_dir(world.folder().join("workspaces"))
        .unwrap()
        .count();
    assert_eq!(folders, 1);
}
