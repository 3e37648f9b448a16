# build_apart(<name> <source folder> <wanted>): builds a project now and installs its module, or sets <name>_note to the
# reason why there is none. Nothing in it is an error here.

# Handed on to the project: where scikit-build-core, or whoever configures by hand, says Python and the compilers are.
set(HANDED_ON CMAKE_BUILD_TYPE CMAKE_MAKE_PROGRAM CMAKE_TOOLCHAIN_FILE CMAKE_OSX_ARCHITECTURES
  CMAKE_OSX_DEPLOYMENT_TARGET CMAKE_CXX_COMPILER CMAKE_CUDA_COMPILER CMAKE_CUDA_ARCHITECTURES CMAKE_PREFIX_PATH
  Python_EXECUTABLE Python_ROOT_DIR Python_INCLUDE_DIR Python_LIBRARY Python_SABI_LIBRARY Python_FIND_REGISTRY
  SKBUILD_SABI_VERSION)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# The last line of a compiler's or CMake's output that says what was wrong, fit to stand in JSON.
function(_reason output result)
  string(REGEX MATCHALL "[^\n]*([Ee]rror|not found|No CMAKE_|could not|Could NOT)[^\n]*" lines "${output}")
  list(GET lines 0 line)
  if(NOT line)
    set(line "the build failed without a word")
  endif()
  string(REGEX REPLACE "[\"\\\\]" "'" line "${line}")
  string(REGEX REPLACE "[ \t\r]+" " " line "${line}")
  string(STRIP "${line}" line)
  string(SUBSTRING "${line}" 0 300 line)
  set(${result} "${line}" PARENT_SCOPE)
endfunction()

function(build_apart name source wanted)
  set(binary ${CMAKE_CURRENT_BINARY_DIR}/${name})
  set(${name}_note "not wanted when this was built" PARENT_SCOPE)
  if(NOT wanted)
    return()
  endif()
  message(STATUS "Building ${name}")
  set(arguments -G ${CMAKE_GENERATOR})
  foreach(variable ${HANDED_ON})
    if(DEFINED ${variable} AND NOT "${${variable}}" STREQUAL "")
      # A list travels as one argument.
      string(REPLACE ";" "\\;" value "${${variable}}")
      list(APPEND arguments "-D${variable}=${value}")
    endif()
  endforeach()
  if(CMAKE_GENERATOR_PLATFORM)
    list(APPEND arguments -A ${CMAKE_GENERATOR_PLATFORM})
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_SOURCE_DIR}/${source} -B ${binary} ${arguments}
    RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT failed)
    execute_process(
      COMMAND ${CMAKE_COMMAND} --build ${binary} --config ${CMAKE_BUILD_TYPE} --parallel 2
      RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  endif()
  if(failed)
    _reason("${output}" reason)
    message(STATUS "Building ${name} - left out: ${reason}")
    message(VERBOSE "${output}")
    set(${name}_note "${reason}" PARENT_SCOPE)
    return()
  endif()
  message(STATUS "Building ${name} - done")
  install(DIRECTORY ${binary}/module/ DESTINATION ${PACKAGE} USE_SOURCE_PERMISSIONS)
  set(${name}_note "" PARENT_SCOPE)
endfunction()
