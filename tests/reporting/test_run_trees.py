from o1coder_gym.reporting.pages.tree_page import page_names


def test_page_names_are_safe_and_never_alike():
    names = page_names(["MBPP/417", "MBPP-417", "mbpp 417", "../../etc", "ü", "x" * 200])
    assert names["MBPP/417"] == "MBPP-417.html"
    assert names["MBPP-417"] == "MBPP-417-2.html"
    assert names["mbpp 417"] == "mbpp-417-3.html"
    assert names["../../etc"] == "etc.html"
    assert names["ü"] == "problem.html"
    assert len(names["x" * 200]) == 85
