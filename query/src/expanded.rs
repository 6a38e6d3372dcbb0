//! How many tables a statement reads once each `with` is put where its name stands: a few lines,
//! each of which reads the one before twice, come to billions, and a planner would make them all.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{self, ObjectName, Query, Visit, Visitor};

/// The tables that the statement reads, each as often as it does.
pub(crate) fn num_tables(statement: &Statement) -> usize {
    let mut counting = Counting::default();
    match statement {
        Statement::Statement(words) => counting.visit(words.as_ref()),
        Statement::Explain(explain) => return num_tables(&explain.statement),
        Statement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &copy.source {
                counting.visit(query.as_ref());
            }
        }
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
    counting.most
}

#[derive(Default)]
struct Counting {
    /// Of each query that is being walked, and of what is outside of all.
    open: Vec<usize>,
    /// Of each `with`, by its name in small letters.
    named: HashMap<String, usize>,
    /// The names of queries that stand in a `with`, by where they lie in memory.
    names: HashMap<*const Query, String>,
    most: usize,
}

impl Counting {
    fn visit(&mut self, part: &impl Visit) {
        let _ = part.visit(self);
    }
}

impl Visitor for Counting {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = cte.alias.name.value.to_lowercase();
            self.names.insert(std::ptr::from_ref(cte.query.as_ref()), name);
        }
        self.open.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = self.open.pop().unwrap_or(0);
        self.most = self.most.max(tables);
        match self.names.remove(&std::ptr::from_ref(query)) {
            Some(name) => {
                self.named.insert(name, tables.max(1));
            }
            None => {
                if let Some(outer) = self.open.last_mut() {
                    *outer = outer.saturating_add(tables);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = match &relation.0[..] {
            [ast::ObjectNamePart::Identifier(name)] => name.value.to_lowercase(),
            _ => String::new(),
        };
        let tables = self.named.get(&name).copied().unwrap_or(1);
        if let Some(open) = self.open.last_mut() {
            *open = open.saturating_add(tables);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use super::*;

    fn count(text: &str) -> usize {
        num_tables(&DFParser::parse_sql(text).unwrap()[0])
    }

    #[test]
    fn tables_are_counted_as_often_as_they_are_read() {
        assert_eq!(count("select 1"), 0);
        assert_eq!(count("select * from a join b on a.x = b.x where x in (select x from c)"), 3);
        assert_eq!(count("with w as (select * from a, b) select * from w x, W y, d"), 5);
        assert_eq!(count("insert into t with w as (select * from a) select * from w, w as v"), 2);
        assert_eq!(count("explain copy (select * from a, b) to '/x'"), 2);
        let doubling = |steps: usize| {
            let mut text = "with a0 as (select 1)".to_owned();
            for step in 1..=steps {
                let before = step - 1;
                text += &format!(", a{step} as (select * from a{before} x, a{before} y)");
            }
            count(&format!("{text} select * from a{steps}"))
        };
        assert_eq!(doubling(3), 8);
        assert_eq!(doubling(200), usize::MAX);
    }
}
