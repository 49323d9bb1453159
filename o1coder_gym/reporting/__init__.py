"""Tables, figures and pages made from results. Importing it lets notebooks show search trees."""

from o1coder_gym.process_data.search_tree import SearchTree, show_in_notebooks_by


def _notebook_cell(tree: SearchTree) -> str:
    from o1coder_gym.reporting.pages.tree_page import notebook_cell

    return notebook_cell(tree)


show_in_notebooks_by(_notebook_cell)
