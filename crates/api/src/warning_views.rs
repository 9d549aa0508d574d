//! What is likely not meant in a workflow file, as it is shown.

use fusion_api_types::{FaultView, WarningView};
use fusion_workflow_file::Warning;

/// Of a text, in its order.
pub(crate) fn warnings(source: &str) -> Vec<WarningView> {
    let found = fusion_workflow_file::warnings(source);
    found.into_iter().map(warning).collect()
}

fn warning(warning: Warning) -> WarningView {
    let Warning { rule, fault } = warning;
    WarningView {
        rule: rule.as_str().to_owned(),
        fault: FaultView {
            message: fault.message,
            help: fault.help,
            line: fault.position.line,
            column: fault.position.column,
            offset: fault.position.offset,
            length: fault.position.length,
        },
    }
}
